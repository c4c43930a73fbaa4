// Counts the requests to each path.
import { http, keyvalue } from "nanolattice";

http.get("/{path...}", ({ path }) => ({ count: keyvalue.increment(`count:${path}`) }));
