-- One request per call: the same bytes each time, or with the next pre-signed `DPoP` line, so that
-- every proof is used once. The files are named by the environment; see load.py.

local function slurp(name)
  local file = assert(io.open(os.getenv(name), "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

local head, body = slurp("RIG_HEAD"), slurp("RIG_BODY")
local proofs = os.getenv("RIG_PROOFS") and io.lines(os.getenv("RIG_PROOFS"))
local think = tonumber(os.getenv("RIG_THINK") or "0")
local plain = head .. "\r\n" .. body
local before, after = head .. "DPoP: ", "\r\n\r\n" .. body
local threads = {}
exhausted = false

function setup(thread) table.insert(threads, thread) end

function request()
  if not proofs then return plain end
  local proof = not exhausted and proofs()
  if proof then return before .. proof .. after end
  exhausted = true
  wrk.thread:stop()
  return plain
end

-- A mean pause of `think` ms, uniform, so that connections do not march in step.
if think > 0 then
  function delay() return math.random(0, 2 * think) end
end

function done(summary, latency)
  local errors, ran_out = summary.errors, false
  for _, thread in ipairs(threads) do ran_out = ran_out or thread:get("exhausted") end
  io.write(string.format(
    '\nRIG {"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "failed": %d, '
      .. '"refused": %d, "exhausted": %s}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.timeout, errors.status,
    tostring(ran_out)))
end
