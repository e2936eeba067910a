/** The audit log: list pages, count uses by day, and verify it against the records. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import {
  AUDIT_ACTIONS,
  AUDIT_FINDING_KINDS,
  AUDIT_LIMIT_RULE,
  AuditEntry,
  AuditQuery,
  UseCounts,
} from '../../contract/audit.ts';
import { OrganizationName } from '../../contract/caller.ts';
import { LIST_PAGE_MAX, USE_COUNT_DAYS, USE_COUNT_DAYS_MAX } from '../../contract/limits.ts';
import type { DialectDependencies, HttpEnv } from '../../http/dialect.ts';
import { CodedDetail, errorResponses, QUERY_ERRORS } from '../openapi/responses.ts';
import { component, jsonOf } from '../openapi/schemas.ts';

const TAGS = ['Keyhold'];
const NO_ORGANIZATION = 'Unknown organization.';

const organization = OrganizationName.optional().meta({
  description: 'The log of another organization. For the operator only.',
});

const Query = z.strictObject({
  ...AuditQuery.shape,
  action: z.enum(AUDIT_ACTIONS).optional(),
  outcome: z.enum(['allowed', 'denied']).optional(),
  since: time('Entries at or after this time.'),
  until: time('Entries before this time.'),
  organization,
  limit: wholeNumber(
    LIST_PAGE_MAX,
    AUDIT_LIMIT_RULE,
    `Number of entries. Default and maximum: ${LIST_PAGE_MAX}.`,
  ),
  before: wholeNumber(
    Number.MAX_SAFE_INTEGER,
    'must be a whole number from 1 on',
    'Entries below this position: `next` of the previous page.',
  ),
});

/** The vault validates the time. */
function time(description: string) {
  return z.string().max(40).optional().openapi({ description, example: '2026-01-31T12:00:00Z' });
}

/** Decimal digits only: Number() would also accept 0x10 and 1e1. */
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
    next: z.int().nullable().openapi({ description: '`before` of the next page; null at the end.' }),
  })
  .openapi('AuditPage');

const Report = z
  .object({
    ok: z.boolean(),
    entries: z.int(),
    credentials: z.int(),
    findings: z.array(
      z.object({
        kind: z.enum(AUDIT_FINDING_KINDS),
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
    ...errorResponses(CodedDetail, { ...QUERY_ERRORS, 404: NO_ORGANIZATION }),
  },
});

const verifyRoute = createRoute({
  method: 'get',
  path: '/v1/audit/verify',
  tags: TAGS,
  operationId: 'verifyAudit',
  summary: 'Verify the audit log',
  description:
    'Detects changed, missing, reordered and truncated entries, and compares the log with the records. Needs the scope audit:read.',
  request: { query: z.strictObject({ organization }) },
  responses: {
    200: jsonOf(Report, 'The findings. `ok`: no findings.'),
    ...errorResponses(CodedDetail, { ...QUERY_ERRORS, 404: NO_ORGANIZATION }),
  },
});

const usesRoute = createRoute({
  method: 'get',
  path: '/v1/audit/uses',
  tags: TAGS,
  operationId: 'countUses',
  summary: 'Count uses by day',
  description:
    'Uses and refused uses of the credentials of your organization on each day (UTC), the oldest first. Needs the scope audit:read.',
  request: {
    query: z.strictObject({
      days: wholeNumber(
        USE_COUNT_DAYS_MAX,
        `must be a whole number from 1 to ${USE_COUNT_DAYS_MAX}`,
        `The last days, today included. Default: ${USE_COUNT_DAYS}.`,
      ),
      service_id: AuditQuery.shape.service_id,
    }),
  },
  responses: {
    200: jsonOf(
      component('UseCounts', UseCounts).openapi({
        example: { days: [{ date: '2026-01-31', used: 12, refused: 1 }], complete_since: null },
      }),
      'The counts. `complete_since`: earlier entries were not counted, because there are too many.',
    ),
    ...errorResponses(CodedDetail, QUERY_ERRORS),
  },
});

export function registerAudit(app: OpenAPIHono<HttpEnv>, { vault, runAuditRead }: DialectDependencies): void {
  app.openapi(listRoute, async (c) => {
    const caller = c.get('caller');
    const { limit, before, ...filter } = c.req.valid('query');
    const list = () => vault.listAudit(caller, filter, limit, before);
    const { organization: _, ...conditions } = filter;
    const is_search = Object.values(conditions).some((value) => value !== undefined);
    const { entries, next } = await (is_search ? runAuditRead(caller, list) : list());
    return c.json({ entries: [...entries], next }, 200);
  });

  app.openapi(usesRoute, async (c) => {
    const caller = c.get('caller');
    const { days = USE_COUNT_DAYS, service_id } = c.req.valid('query');
    return c.json(await runAuditRead(caller, () => vault.audit.countUses(caller, days, service_id)), 200);
  });

  app.openapi(verifyRoute, async (c) => {
    const caller = c.get('caller');
    const { organization: name } = c.req.valid('query');
    const verify = () => vault.verifyAudit(caller, { organization: name });
    const { findings, ...report } = await runAuditRead(caller, verify);
    return c.json({ ...report, findings: [...findings] }, 200);
  });
}
