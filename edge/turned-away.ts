// What is answered where nothing may begin, whatever was asked for. It reaches no hub, so its line is written here.
import { errorBody, errorHead, type PublicFailure } from "../shared/errors.ts";
import { logRequest, newRequestId } from "./log.ts";
import { pathOf, routeOf } from "./routes.ts";

export function turnedAway(request: Request, failure: PublicFailure): Response {
  const { status, headers } = errorHead(failure);
  const id = newRequestId();
  const path = routeOf(pathOf(request));
  logRequest({ request_id: id, method: request.method, path, status, code: failure.code });
  return Response.json(errorBody(failure), { status, headers: { ...headers, "x-request-id": id } });
}
