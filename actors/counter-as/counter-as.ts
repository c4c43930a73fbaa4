/** Counts the requests to each path. */
import { http, keyvalue } from "nanolattice";
export { __guest_call } from "nanolattice";

http.handle((request) => {
  if (request.method != "GET") return http.Response.error(405, "only GET counts").header("allow", "GET");
  return http.Response.json(200, `{"counter":${keyvalue.increment(request.path)}}\n`);
});
