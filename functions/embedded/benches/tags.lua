-- User tags for wrk: a million cookies, typical cardinalities, over ten minutes of logical time.
-- Requests are rendered once per thread, so that the client costs little. COOKIES, START and SPREAD_MS alter them.

local REQUESTS = 60000
local START = tonumber(os.getenv("START") or 1646092800) -- 2022-03-01T00:00:00Z
local SPREAD_MS = tonumber(os.getenv("SPREAD_MS") or 600000)
local COOKIES = tonumber(os.getenv("COOKIES") or 1000000)

local requests = {}
local next_request = 0

function init(args)
  math.randomseed(os.time() + math.floor(os.clock() * 1e6))
  local devices = { "PC", "MOBILE", "TV" }
  for i = 1, REQUESTS do
    local ms = math.random(0, SPREAD_MS - 1)
    local time = os.date("!%Y-%m-%dT%H:%M:%S", START + math.floor(ms / 1000))
    local body = string.format(
      '{"time":"%s.%03dZ","cookie":"cookie_%d","country":"C%d","device":"%s","action":"%s","origin":"ORIGIN_%d",' ..
      '"product_info":{"product_id":%d,"brand_id":"BRAND_%d","category_id":"CATEGORY_%d","price":%d}}',
      time, ms % 1000, math.random(0, COOKIES - 1), math.random(0, 99), devices[math.random(3)],
      math.random(10) == 1 and "BUY" or "VIEW", math.random(0, 999), math.random(0, 99999),
      math.random(0, 249), math.random(0, 66), math.random(0, 99999))
    requests[i] = wrk.format("POST", "/user_tags", { ["Content-Type"] = "application/json" }, body)
  end
end

function request()
  next_request = next_request % REQUESTS + 1
  return requests[next_request]
end
