/** Counts the requests to each path. */
import { http, keyvalue } from "../sdk/assemblyscript";
export { __guest_call } from "../sdk/assemblyscript";

http.handle((request) => {
  if (request.method != "GET") return http.Response.error(405, "only GET counts").header("allow", "GET");
  return http.Response.json(200, `{"counter":${keyvalue.increment(request.path)}}\n`);
});
