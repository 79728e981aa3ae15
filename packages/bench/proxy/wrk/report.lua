-- Prints what a run of wrk found as one line of JSON. It has no response function on purpose: with one, wrk would keep every
-- header of every response, and the load would share its core with that.
function done(summary, latency, requests)
  io.write(string.format(
    '\nREPORT {"requests":%d,"durationUs":%d,"bytes":%d,"p50Us":%d,"p99Us":%d,"errors":{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99),
    summary.errors.connect, summary.errors.read, summary.errors.write, summary.errors.status, summary.errors.timeout))
end
