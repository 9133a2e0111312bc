-- What wrk sends and how it judges the answers. BENCH_BODY, BENCH_MARKER and BENCH_HEADERS ("name: value" lines) say what.
local marker = os.getenv("BENCH_MARKER")
local threads = {}

wrk.method = "POST"
wrk.body = os.getenv("BENCH_BODY")
wrk.headers["content-type"] = "application/json"
for name, value in string.gmatch(os.getenv("BENCH_HEADERS") or "", "([^:\n]+): ([^\n]+)") do
  wrk.headers[name] = value
end

bad = 0

function setup(thread)
  table.insert(threads, thread)
end

-- A status of 200 alone is no good answer: a stream can break off, and an error can be told in one.
function response(status, headers, body)
  if status ~= 200 or not string.find(body, marker, 1, true) then
    bad = bad + 1
  end
end

function done(summary, latency, requests)
  local lost = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  for _, thread in ipairs(threads) do
    lost = lost + thread:get("bad")
  end
  io.write(string.format('\nRESULT {"answers": %d, "seconds": %.6f, "p50_ms": %.4f, "p99_ms": %.4f, "bad": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, lost))
end
