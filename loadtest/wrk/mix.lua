-- A mix of the contest's requests, for wrk.
--
--   CLIENTS=5 DEBITS=220 CREDITS=110 STATEMENTS=10 wrk -t1 -c64 -d10s -s loadtest/wrk/mix.lua http://127.0.0.1:9999
--
-- Each request has a random client, value and description. They are made before the load
-- begins: what is left per request is to take the next one, so that wrk stays cheap. With keys, or with
-- so many clients that a list would not have them all, a request is put together from ready pieces instead.
--
-- | variable   | default |                                                          |
-- | ---------- | ------- | -------------------------------------------------------- |
-- | CLIENTS    | 5       | clients 1 to this                                        |
-- | DEBITS     | 220     | parts of the mix that are debits                         |
-- | CREDITS    | 110     | parts that are credits                                   |
-- | STATEMENTS | 10      | parts that are statements                                |
-- | KEYED      | false   | true: each POST has an Idempotency-Key of its own; timed: one that begins with the time |
-- | SEED       | 1       | two runs with the same seed send the same requests       |
-- | RESULT     |         | a file that takes the outcome as JSON                    |

local function setting(name, default) return tonumber(os.getenv(name) or default) end

local CLIENTS = setting("CLIENTS", 5)
local DEBITS, CREDITS, STATEMENTS = setting("DEBITS", 220), setting("CREDITS", 110), setting("STATEMENTS", 10)

-- How many requests are made in advance; clients beyond this are drawn request by request.
local PREPARED = 16384
local FEW_CLIENTS = 1000

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

-- The threads of wrk differ in their seeds.
local threads = 0
function setup(thread)
  thread:set("thread_number", threads)
  threads = threads + 1
end

local function description()
  local letters = {}
  for i = 1, 10 do
    local at = math.random(#ALPHABET)
    letters[i] = ALPHABET:sub(at, at)
  end
  return table.concat(letters)
end

-- With keys, a line with one as long as a UUID, which no other request of any run has. Its first eight digits are random, as
-- a UUIDv4's, or change with the time every 65 s, as a UUIDv7's. That a statement has one, too, is of no consequence.
local KEYED = os.getenv("KEYED") or "false"
local key_line = function() return "" end
if KEYED ~= "false" then
  local bytes, count = assert(io.open("/dev/urandom", "rb")):read(8), 0
  local drawn = bytes:gsub(".", function(byte) return string.format("%02x", byte:byte()) end)
  key_line = function()
    count = count + 1
    local first = KEYED == "timed" and os.time() * 1000 / 65536 or math.random(0, 2 ^ 32 - 1)
    return string.format('Idempotency-Key: "%08x%s%012d"\r\n', first, drawn, count)
  end
end
local PUT_TOGETHER = CLIENTS > FEW_CLIENTS or key_line() ~= ""

-- Method and path up to the client, the rest of that line, and everything after it.
local function pieces()
  local drawn = math.random(DEBITS + CREDITS + STATEMENTS)
  if drawn > DEBITS + CREDITS then
    return "GET /clientes/", "/extrato HTTP/1.1\r\n", "Host: " .. wrk.headers["Host"] .. "\r\n\r\n"
  end
  local tipo = drawn <= DEBITS and "d" or "c"
  local body = string.format('{"valor": %d, "tipo": "%s", "descricao": "%s"}', math.random(10000), tipo, description())
  local head = "Host: " .. wrk.headers["Host"] .. "\r\nContent-Type: application/json\r\n"
  return "POST /clientes/", "/transacoes HTTP/1.1\r\n", head .. "Content-Length: " .. #body .. "\r\n\r\n" .. body
end

local heads, lines, tails, ready, at = {}, {}, {}, {}, 0

function init(args)
  math.randomseed(setting("SEED", 1) * 1000 + thread_number)
  for i = 1, PREPARED do
    heads[i], lines[i], tails[i] = pieces()
    if not PUT_TOGETHER then ready[i] = heads[i] .. math.random(CLIENTS) .. lines[i] .. tails[i] end
  end
end

function request()
  at = at % PREPARED + 1
  return ready[at] or heads[at] .. math.random(CLIENTS) .. lines[at] .. key_line() .. tails[at]
end

local OUTCOME = [[
{"requests": %d, "seconds": %.6f, "wrong": %d, "not_success": %d,
 "latency_ms": {"p50": %.3f, "p98": %.3f, "p99": %.3f, "max": %.3f}}
]]

function done(summary, latency, requests)
  local errors = summary.errors
  -- Answers of 400 and above are right or not; who started the service knows.
  local wrong = errors.connect + errors.read + errors.write + errors.timeout
  local text = string.format(OUTCOME, summary.requests, summary.duration / 1e6, wrong, errors.status,
    latency:percentile(50) / 1e3, latency:percentile(98) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3)
  if not os.getenv("RESULT") then return io.write(text) end
  local file = assert(io.open(os.getenv("RESULT"), "w"))
  file:write(text)
  file:close()
end
