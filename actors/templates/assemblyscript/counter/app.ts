/** Counts the requests to each path. */
import { http, json, keyvalue } from "nanolattice";
export { __guest_call } from "nanolattice";

http.handle((request) => {
  if (request.method != "GET") return http.Response.error(405, "only GET counts");
  const count = keyvalue.increment("count:" + request.path);
  return http.Response.json(200, new json.Writer().integer("count", count).done());
});
