#!/usr/bin/env python3
"""What N instances and M servers give, computed from what two points have cost.

    python3 docs/scale.py                 # the tables of docs/scale.md, from docs/scale.json
    python3 docs/scale.py RESULTS.json    # from another run of the experiment `instances`

The model. U users wait for an answer each; the parts have C cores each (all instances together one C).

- NGINX works n0 + n1/b microseconds on a request, the instances a0 + a1/b, and the database p + c/b: what a call, a
  wake-up or a write costs is shared by the b requests of a batch.
- An instance has one call under way and gathers the next meanwhile. Where the database sets the pace, half of an
  instance's users are in the call and half in the next: b = U / (2 N).
- Where NGINX or the instances set it, users wait there, and b is what is left: the largest at which no part is asked
  for more than it has.

The six costs come from the least and the most instances that were measured with `affinity`; the points between are
predicted. With `least_conn` sessions also wait for each other's rows, of which the model knows nothing.
"""

import json
import pathlib
import sys

USERS = 64
RESULTS = pathlib.Path(__file__).parent / "scale.json"
PARTS = ("nginx", "instances", "database")


def points(path):
    """The measured points: instances, balancing, answers/s, batch, and cores used by each part."""
    text = json.loads(pathlib.Path(path).read_text())
    if isinstance(text, list):
        return text
    found = []
    for case in text["comparisons"][0]["cases"]:
        runs = [run for run in case["runs"] if not run.get("invalid")]
        middle = sorted(runs, key=lambda run: run["right"] / run["seconds"])[len(runs) // 2]
        work, used = middle["work"], [one["cpu_share"] for one in middle["services"]]
        done = work["accepted"] + work["refused"] + work["unknown_client"]
        found.append({
            "instances": len(used) - 2,
            "balancing": case["label"].rsplit(" ", 1)[1],
            "per_s": middle["right"] / middle["seconds"],
            "batch": done / work["calls"],
            "cores": dict(zip(PARTS, (used[-2], sum(used[:-2]), used[-1]))),
        })
    return found


def costs(one, other):
    """Microseconds for a request and for a batch, by part, from two points."""
    found = {}
    for part in PARTS:
        (x, y), (far_x, far_y) = [
            (1 / point["batch"], point["cores"][part] / point["per_s"] * 1e6) for point in (one, other)
        ]
        for_batch = (far_y - y) / (far_x - x)
        for_request = y - for_batch * x
        if for_request < 0:  # all of it is the batch's
            for_request, for_batch = 0.0, (y / x + far_y / far_x) / 2
        found[part] = (for_request, for_batch)
    return found


def rate(cores, cost, batch):
    for_request, for_batch = cost
    return cores / (for_request + for_batch / batch) * 1e6


def predict(cost, cores, instances, users=USERS):
    """Answers/s, the batch, and the part that sets the pace."""
    def of_part(part, batch):
        return rate(cores[part], cost[part], batch)

    def front(batch):
        return min(("nginx", "instances"), key=lambda part: of_part(part, batch))

    most = users / (2 * instances)
    most = max(most, 1.0)
    if of_part("database", most) <= of_part(front(most), most):
        return of_part("database", most), most, "database"
    low, high = 0.01, most
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if of_part("database", middle) < of_part(front(middle), middle) else (low, middle)
    return of_part(front(low), low), max(low, 1.0), front(low)


def row(*cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def main():
    measured = points(sys.argv[1] if len(sys.argv) > 1 else RESULTS)
    by_affinity = sorted((one for one in measured if one["balancing"] == "affinity"), key=lambda one: one["instances"])
    ends = by_affinity[0], by_affinity[-1]
    cost = costs(*ends)
    cores = {"nginx": 0.06, "instances": 0.16, "database": 0.08}  # 0.4/0.4/0.3/0.4, a fifth of it
    print(row("part", "µs for a request", "µs for a batch", "cores"))
    print(row("---", "---:", "---:", "---:"))
    for part in PARTS:
        print(row(part, *(f"{value:.1f}" for value in cost[part]), cores[part]))
    print()
    print(row("instances", "measured, of one instance's", "predicted", "off by", "batch, predicted", "sets the pace"))
    print(row(*["---:"] * 5, "---"))
    one = by_affinity[0]["per_s"]
    for point in by_affinity:
        per_s, batch, pace = predict(cost, cores, point["instances"])
        fitted = " (fitted)" if any(point is end for end in ends) else ""
        print(row(point["instances"], f"{point['per_s'] / one:.2f}", f"{per_s / one:.2f}",
                  f"{100 * (per_s / point['per_s'] - 1):+.0f} %{fitted}", f"{batch:.1f} ({point['batch']:.1f})", pace))
    print()
    beyond(cost)


def beyond(cost):
    """What more servers would give: a core, two instances and 500 users for each, and nothing lost on the way."""
    print(row("servers", "instances", "every instance calls every server: batch", "answers/s, of one server's",
              "each has one server's clients: batch", "answers/s", "cores of NGINX", "connections to a server"))
    print(row(*["---:"] * 8))
    first = None
    for servers in (1, 10, 100, 1000):
        instances = 2 * servers
        apart = 500 / (2 * 2)  # an instance's users, half of them in a call
        spread = max(apart / servers, 1.0)
        rates = [servers * rate(1.0, cost["database"], batch) for batch in (spread, apart)]
        first = first or rates[1]
        for_request, for_batch = cost["nginx"]
        nginx = rates[1] * (for_request + for_batch / apart) / 1e6
        print(row(servers, instances, f"{spread:.1f}", f"{rates[0] / first:.1f}", f"{apart:.0f}",
                  f"{rates[1] / first:.0f}", f"{nginx:.0f}", f"{instances} or 2"))


if __name__ == "__main__":
    main()
