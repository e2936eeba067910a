/** The audit log: read page by page, and held against the records. */

import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { AUDIT_ACTIONS, AUDIT_LIMIT_RULE, AuditEntry, AuditQuery } from '../../contract/audit.ts';
import { actingIn, OrganizationName } from '../../contract/caller.ts';
import { LIST_PAGE_MAX } from '../../contract/limits.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { component } from '../openapi/component.ts';
import { jsonOf } from '../openapi/json_content.ts';
import { codedErrors, TAKES_QUERY } from '../openapi/responses.ts';

const TAGS = ['Keyhold'];
const NO_ORGANIZATION = 'There is no such organization.';

const organization = OrganizationName.optional().meta({
  description: "Another organization's log, for who runs the installation.",
});

const Query = z.strictObject({
  ...AuditQuery.shape,
  action: z.enum(AUDIT_ACTIONS).optional(),
  outcome: z.enum(['allowed', 'denied']).optional(),
  since: time('Entries from then on.'),
  until: time('Entries before then.'),
  organization,
  limit: wholeNumber(
    LIST_PAGE_MAX,
    AUDIT_LIMIT_RULE,
    `How many entries; ${LIST_PAGE_MAX} at most, which is the default.`,
  ),
  before: wholeNumber(
    Number.MAX_SAFE_INTEGER,
    'must be a whole number from 1 on',
    'Entries below this position: `next` of the page before.',
  ),
});

/** As text: the vault knows which times there are. */
function time(description: string) {
  return z.string().max(40).optional().openapi({ description, example: '2026-01-31T12:00:00Z' });
}

/** In decimal digits alone: who writes 0x10 or 1e1 hardly means what a program makes of it. */
function wholeNumber(maximum: number, rule: string, description: string) {
  return z
    .string(rule)
    .refine((text) => /^[0-9]{1,16}$/.test(text) && Number(text) >= 1 && Number(text) <= maximum, rule)
    .transform(Number)
    .optional()
    .openapi({ type: 'integer', minimum: 1, maximum, description });
}

const Page = z
  .object({
    entries: z.array(component('AuditEntry', AuditEntry)),
    next: z
      .int()
      .nullable()
      .openapi({ description: 'Pass it as `before` for the next page; null at the end.' }),
  })
  .openapi('AuditPage');

const Report = z
  .object({
    ok: z.boolean(),
    entries: z.int(),
    credentials: z.int(),
    findings: z.array(
      z.object({
        kind: z.enum([
          'entry_changed',
          'entry_missing',
          'log_truncated',
          'record_rolled_back',
          'record_missing',
          'record_unlogged',
          'record_damaged',
        ]),
        position: z.int().nullable(),
        credential_id: z.string().nullable(),
        record_id: z.string().nullable(),
        message: z.string(),
      }),
    ),
  })
  .openapi('AuditReport');

const listRoute = createRoute({
  method: 'get',
  path: '/v1/audit',
  tags: TAGS,
  operationId: 'listAudit',
  summary: 'Read the audit log',
  description: 'Entries of your organization, newest first. Needs the scope audit:read.',
  request: { query: Query },
  responses: {
    200: jsonOf(Page, 'A page of the log.'),
    ...codedErrors({ ...TAKES_QUERY, 404: NO_ORGANIZATION }),
  },
});

const verifyRoute = createRoute({
  method: 'get',
  path: '/v1/audit/verify',
  tags: TAGS,
  operationId: 'verifyAudit',
  summary: 'Verify the audit log',
  description:
    'Looks for entries that were changed, reordered or cut off, and holds the log against the records. Needs the scope audit:read.',
  request: { query: z.strictObject({ organization }) },
  responses: {
    200: jsonOf(Report, 'What was found. `ok`: the log holds.'),
    ...codedErrors({ ...TAKES_QUERY, 404: NO_ORGANIZATION }),
  },
});

export function registerAudit(app: OpenAPIHono<HttpEnv>, { vault }: HttpDependencies): void {
  app.openapi(listRoute, async (c) => {
    const { organization: name, limit, before, ...filter } = c.req.valid('query');
    const caller = actingIn(c.get('caller'), name);
    const { entries, next } = await vault.listAudit(caller, filter, limit, before);
    return c.json({ entries: [...entries], next }, 200);
  });

  app.openapi(verifyRoute, async (c) => {
    const caller = actingIn(c.get('caller'), c.req.valid('query').organization);
    const { findings, ...report } = await vault.verifyAudit(caller);
    return c.json({ ...report, findings: [...findings] }, 200);
  });
}
