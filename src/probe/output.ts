/** The result of a test as callers see it. Texts of a server are cut to one line, cleaned and redacted. */
import type { TestOutput } from '../contract/use/test.ts';
import type { PatternSet } from '../egress/redaction/pattern_set.ts';
import { redactText } from '../egress/redaction/redactor.ts';
import type { TestFinding, UsableCredential } from '../vault/uses/use.ts';
import type { Finding } from './probe.ts';
import { isRefusal, messageOf, nextStepOf, resultOf } from './reasons.ts';

const LINE_MAX_CHARACTERS = 200;
const FACTS_MAX = 20;

/** `started`: of `performance.now()`. */
export function outputOf(
  credential: Pick<UsableCredential, 'service' | 'name' | 'stack'> & {
    readonly credential_id: string | null;
  },
  finding: Finding,
  { started, tested_at }: { readonly started: number; readonly tested_at: string },
  patterns?: PatternSet,
): TestOutput {
  const { service, name, stack: stack_id, credential_id } = credential;
  const { reason, checked, account, facts = {}, server_message, detail } = finding;
  const clean = (text: string) => cleanLine(text, patterns);
  const shown = server_message === undefined ? '' : clean(server_message);
  const message = [messageOf(reason), detail, shown === '' ? undefined : `The server's message: ${shown}`];
  return {
    service_id: service.slug,
    service_name: service.name,
    name,
    stack_id,
    credential_id,
    result: resultOf(reason),
    reason,
    message: message.filter((part) => part !== undefined).join(' '),
    account: account === undefined ? null : clean(account),
    checked: [...checked],
    facts: Object.fromEntries(
      Object.entries(facts)
        .slice(0, FACTS_MAX)
        .map(([fact, text]) => [fact, clean(text)]),
    ),
    latency_ms: Math.round(performance.now() - started),
    tested_at,
    next: nextStepOf(reason, service),
  };
}

/** The part of a test that is kept with the credential. */
export function keptFinding(
  { service }: Pick<UsableCredential, 'service'>,
  { host_key }: Finding,
  { tested_at: at, result, reason, message, account }: TestOutput,
): TestFinding {
  const field_id = service.connections?.find(({ fields }) => fields.host_key)?.fields.host_key;
  return {
    test: { at, result, reason, message, account },
    verdict: isRefusal(reason) ? 'refused' : result === 'valid' ? 'accepted' : undefined,
    host_key:
      host_key === undefined || field_id === undefined ? undefined : { field_id, fingerprint: host_key },
  };
}

/** One line without control characters, formatting characters and values. */
function cleanLine(text: string, patterns: PatternSet | undefined): string {
  // Redacted before it is cut, so that no part of a value remains.
  const bounded = text.slice(0, LINE_MAX_CHARACTERS * 20);
  const redacted = patterns === undefined ? bounded : redactText(patterns, bounded).text;
  const line = redacted.replace(/[\p{C}\p{Zl}\p{Zp}\s]+/gu, ' ').trim();
  return line.length > LINE_MAX_CHARACTERS ? `${line.slice(0, LINE_MAX_CHARACTERS)}…` : line;
}
