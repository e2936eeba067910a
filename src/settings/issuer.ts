/** The parts that the settings of an authorization server and of an identity provider have in common. */
import * as z from 'zod';
import { UserName } from '../contract/api_key.ts';
import { LOCAL_ORGANIZATION, OrganizationName } from '../contract/caller.ts';
import { TOKEN_SETTING_ENTRIES_MAX } from '../contract/limits.ts';
import { isSecureUrl } from '../io/server_url.ts';

const SECURE = 'an https URL without user, query and fragment (http for this machine only)';
/** Names that an issuer gives: printable ASCII without blanks, quotes and backslashes. */
export const ISSUED_NAME_PATTERN: RegExp = /^[\x21\x23-\x5b\x5d-\x7e]{1,255}$/;

/** RFC 8414, section 2: an issuer has neither a query nor a fragment. */
export const secureUrl = z
  .string()
  .refine((text) => isSecureUrl(text) && !/[?#\s]/.test(text), `must be ${SECURE}`)
  .optional();

/** Elements with commas between them. */
export const list = <Element>(schema: z.ZodType<Element, string>, rule: string) =>
  z
    .string()
    .transform((text) => text.split(',').map((element) => schema.safeParse(element.trim())))
    .refine(
      (elements) => elements.length <= TOKEN_SETTING_ENTRIES_MAX && elements.every(({ success }) => success),
      `${rule}, with commas between them`,
    )
    .transform((elements) => elements.flatMap(({ data }) => (data === undefined ? [] : [data])))
    .optional();

const MappedUser = z
  .string()
  .transform((text) => text.split('='))
  .pipe(z.tuple([UserName, UserName]));

/** Pairs of a subject and the API-key user that it acts as. */
export const mappedUsers = list(MappedUser, 'must be pairs SUBJECT=USER').refine(
  (pairs) => pairs === undefined || new Set(pairs.map(([subject]) => subject)).size === pairs.length,
  'must name each subject once',
);

/** An organization that users of an issuer may act in. */
export const issuedOrganization = OrganizationName.refine(
  (name) => name !== LOCAL_ORGANIZATION,
  'must be an organization other than "local", which is the operator\'s; keyhold keys create --org NAME makes one',
).optional();
