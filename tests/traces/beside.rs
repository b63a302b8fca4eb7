//! Two traces over one another on one axis, in a real browser.

use serde_json::json;

use crate::browser::{Browser, program};
use crate::page::{READY, assert_no_complaints, on_canvas, orange_pixels};
use crate::sample::{START, contended, contended_as, directory, guiche_traces, printed, text};

const HOUR: u64 = 3_600_000_000;

/// They lie an hour apart, their databases counted the same ids, and their instances and calls have the same names.
#[tokio::test]
async fn two_traces_are_seen_over_one_another() {
    let Some(program) = program() else { return };
    let directory = directory();
    let [one, two] = contended_as(directory.path(), "direct", START + HOUR, "d-");
    let [three, four] = contended(directory.path());
    let page = directory.path().join("page.html");
    let files = [&one, &two, &three, &four].map(|file| text(file));
    let said = printed(&[files[0], files[1], "--html", text(&page), "--beside", files[2], files[3]]);
    assert!(
        said.contains("api1 (direct): 6 requests") && said.contains("api1 (batched): 6 requests"),
        "{said}"
    );

    let mut browser = Browser::open(&program, &page, READY).await;
    let lanes = "lanesPage.data.lanes.slice(2, 6).map(l => [l.client, lanesPage.data.instances[l.instance]])";
    let of_client =
        ["direct api1", "direct api2", "batched api1", "batched api2"].map(|name| json!([2, name]));
    assert_eq!(browser.script(lanes), json!(of_client), "a client's lanes lie over one another");
    let begun =
        "['d-early-0', 'early-0'].map(id => lanesPage.data.requests.at[lanesPage.search(id).requests[0]])";
    assert_eq!(browser.script(begun), json!([0, 0]), "each in time since its own beginning");
    let facts = browser.script("document.getElementById('facts').textContent");
    let facts = facts.as_str().expect("a sentence");
    for says in
        ["direct: 10 requests in 4 database calls, 4 lanes", "batched: 10 requests", "23:13:20", "22:13:20"]
    {
        assert!(facts.contains(says), "{says}: {facts}");
    }
    let holders = "(() => { const { data, holdsOf } = lanesPage; \
        const waiters = Array.from(data.calls.lock, (_, c) => c).filter(c => data.calls.lock[c] > 0); \
        const side = c => data.instanceSides[data.calls.instance[c]]; \
        return waiters.map(c => [side(c), holdsOf(c).map(hold => side(hold.call))]); })()";
    assert_eq!(
        browser.script(holders),
        json!([[0, [0]], [1, [1]]]),
        "each is held by a call of its own trace"
    );
    for (width, height) in [(1_400, 900), (400, 800)] {
        browser.resize(width, height);
        browser.key("0");
        assert!(orange_pixels(&mut browser) > 0, "the waits are drawn");
        assert_eq!(
            browser.script("document.documentElement.scrollWidth <= innerWidth"),
            true,
            "{width} pixels"
        );
    }
    let (from, to) = (on_canvas(&mut browser, 100.0, 10.0), on_canvas(&mut browser, 380.0, 10.0));
    browser.drag(from, to);
    let details = browser.script("document.getElementById('details').textContent");
    for says in ["direct p50", "batched p99"] {
        assert!(details.as_str().is_some_and(|text| text.contains(says)), "{says}: {details}");
    }
    browser.script("location.hash = '#lost=batched client 2'");
    browser.frame();
    let details = browser.script("document.getElementById('details').textContent");
    let text = details.as_str().expect("a text");
    assert!(text.contains("requests7") && text.contains("batched p99") && !text.contains("direct"), "{text}");
    browser.script("location.hash = '#request=d-waiter-0'");
    browser.frame();
    let details = browser.script("document.getElementById('details').textContent");
    let details = details.as_str().expect("a text");
    assert!(details.contains("call 2 of direct api1") && details.contains("23:13:20"), "{details}");
    assert_no_complaints(&mut browser);
}

#[test]
fn two_of_one_mode_have_other_names_and_only_a_page_shows_two() {
    let directory = directory();
    let [one, two] = contended(directory.path());
    let page = directory.path().join("page.html");
    printed(&[text(&one), "--html", text(&page), "--beside", text(&two)]);
    let written = std::fs::read_to_string(&page).expect("a page");
    assert!(written.contains("<title>Lanes: first beside second</title>"));
    let refused = guiche_traces(&[text(&one), "--beside", text(&two)]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("--html"));
}
