/** What a route answers that is known to clients of this API and that this version does not do yet. */

import { jsonOf } from './json_content.ts';
import { BODY_ERRORS, type CodedDetail, Detail, detailErrors } from './responses.ts';

export const NOT_IMPLEMENTED = {
  detail:
    'Not implemented yet: this version keeps credentials and does not call tools. Call the service with its own client.',
} as const;

/** The answers of such a route; `schema` is how its dialect says errors. */
export function notImplementedResponses(schema: typeof Detail | typeof CodedDetail = Detail) {
  return {
    501: jsonOf(schema, 'This version of the server does not call tools yet.'),
    ...detailErrors(BODY_ERRORS, schema),
  };
}
