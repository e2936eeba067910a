/** How a person narrows an access request: the controls, and what was chosen. An unknown choice is refused: it could widen. */
import type { FC } from 'hono/jsx';
import type { AcceptAccessInput } from '../../../contract/access_request.ts';
import type { Approval } from '../../../contract/approval.ts';
import { VaultError } from '../../../contract/errors.ts';
import type { StackInfo } from '../../../contract/stack.ts';
import { CALLS_PER_MINUTE_MAX, type UsePolicy } from '../../../contract/use/policy.ts';
import { USE_METHODS } from '../../../contract/use/rules.ts';
import { CheckboxGroup, RadioGroup } from '../../layout/choices.tsx';
import { Field } from '../../layout/components.tsx';
import { afterDays } from '../../layout/expiry.tsx';
import { textOf } from '../../page.ts';

const EXPIRIES = [
  { value: 'never', label: 'No end' },
  { value: '1', label: '1 day' },
  { value: '7', label: '7 days' },
  { value: '30', label: '30 days' },
  { value: '90', label: '90 days' },
] as const;

const APPROVALS = [
  { value: 'never', label: 'No request' },
  { value: 'writes', label: 'Changes', description: 'All methods but GET, HEAD and OPTIONS.' },
  { value: 'always', label: 'Every request' },
] as const;

/** What the controls show: as requested, or the choices that were refused. */
export interface Narrowing {
  readonly stack: string;
  readonly name: string;
  readonly methods: ReadonlySet<string>;
  readonly paths: string;
  readonly per_minute: string;
  readonly ends: string;
  readonly approve: string;
}

export function shownNarrowing({ stack_id, name }: Approval, sent?: FormData): Narrowing {
  if (sent === undefined)
    return {
      stack: stack_id,
      name: name ?? '',
      methods: new Set(USE_METHODS),
      paths: '',
      per_minute: '',
      ends: 'never',
      approve: 'never',
    };
  return {
    stack: textOf(sent, 'stack'),
    name: textOf(sent, 'name'),
    methods: new Set(sent.getAll('method').filter((value) => typeof value === 'string')),
    paths: textOf(sent, 'paths'),
    per_minute: textOf(sent, 'per_minute'),
    ends: textOf(sent, 'ends'),
    approve: textOf(sent, 'approve'),
  };
}

/** Throws INVALID_INPUT for a choice that the page does not have. The vault validates the rest. */
export function readNarrowed(sent: FormData, approval: Approval, now: Date): AcceptAccessInput {
  const { stack, name, ...limits } = shownNarrowing(approval, sent);
  const use_policy = policyOf(limits, now);
  return {
    ...(stack === '' || stack === approval.stack_id ? {} : { stack_id: stack }),
    ...(name === (approval.name ?? '') ? {} : { name: name === '' ? null : name }),
    ...(use_policy === undefined ? {} : { use_policy }),
  };
}

function policyOf(
  { methods, paths, per_minute, ends, approve }: Omit<Narrowing, 'stack' | 'name'>,
  now: Date,
): UsePolicy | undefined {
  const chosen = USE_METHODS.filter((method) => methods.has(method));
  const end = EXPIRIES.find(({ value }) => value === ends);
  const approval = APPROVALS.find(({ value }) => value === approve);
  if (chosen.length !== methods.size || end === undefined || approval === undefined)
    throw new VaultError('INVALID_INPUT', 'Choose the methods, the end and the approvals again.');
  if (chosen.length === 0) throw new VaultError('INVALID_INPUT', 'Choose at least one method.');
  const prefixes = paths.split(/\s+/).filter((line) => line !== '');
  if (per_minute !== '' && !/^[0-9]{1,6}$/.test(per_minute))
    throw new VaultError('INVALID_INPUT', `Uses a minute: a whole number from 1 to ${CALLS_PER_MINUTE_MAX}.`);
  const policy: UsePolicy = {
    ...(chosen.length === USE_METHODS.length ? {} : { methods: chosen }),
    ...(prefixes.length === 0 ? {} : { path_prefixes: prefixes }),
    ...(per_minute === '' ? {} : { calls_per_minute: Number(per_minute) }),
    ...(end.value === 'never' ? {} : { expires_at: afterDays(Number(end.value), now) }),
    ...(approval.value === 'never' ? {} : { approve: approval.value }),
  };
  return Object.keys(policy).length === 0 ? undefined : policy;
}

export const Narrow: FC<{
  readonly narrowing: Narrowing;
  /** Those that the person may store in. */
  readonly stacks: readonly StackInfo[];
}> = ({ narrowing, stacks }) => {
  const ids = new Map(stacks.map(({ stack_id, stack_name }) => [stack_id, stack_name]));
  if (!ids.has(narrowing.stack)) ids.set(narrowing.stack, narrowing.stack);
  return (
    <>
      <CheckboxGroup
        name="method"
        legend="Methods"
        description="Only these. For reading, GET is enough for most services."
        choices={USE_METHODS.map((method) => ({ value: method, label: <code>{method}</code> }))}
        checked={narrowing.methods}
      />
      <Field
        name="paths"
        label="Paths"
        description="Only paths that begin with one of these, each on a line, such as /repos/acme."
        rows={2}
        value={narrowing.paths}
      />
      <RadioGroup
        name="approve"
        legend="Your approval is needed for"
        choices={APPROVALS}
        value={narrowing.approve}
      />
      <Field name="ends" label="Access ends after" required options={EXPIRIES} value={narrowing.ends} />
      <Field name="per_minute" label="Uses a minute" type="number" value={narrowing.per_minute} />
      <details class="more-fields">
        <summary>Where the credential is stored</summary>
        <div class="stack">
          <Field
            name="stack"
            label="Stack"
            required
            options={[...ids].map(([value, label]) => ({ value, label }))}
            value={narrowing.stack}
          />
          <Field
            name="name"
            label="Name"
            description="To distinguish it from other credentials of the service."
            value={narrowing.name}
          />
        </div>
      </details>
    </>
  );
};
