/** How long and for which requests a person approves one: the controls, and what was chosen. */
import type { FC } from 'hono/jsx';
import type { Approval, ApprovalChoiceInput } from '../../../contract/approval.ts';
import { VaultError } from '../../../contract/errors.ts';
import { GRANT_EXTENTS } from '../../../contract/use/rules.ts';
import { RadioGroup } from '../../layout/choices.tsx';
import { Field } from '../../layout/components.tsx';
import { textOf } from '../../page.ts';

/** The fingerprint of the approval that the page has shown. */
export const SEEN_FIELD = 'seen';
export const CONFIRM_FIELD = 'confirmed';
/** Of a service that can be connected with OAuth: what the person does after accepting. */
export const NEXT_FIELD = 'next';

const TERMS: Readonly<Record<string, { readonly label: string; readonly choice: ApprovalChoiceInput }>> = {
  once: { label: 'Once', choice: { for: 'once' } },
  quarter: { label: '15 minutes', choice: { for: 'duration', minutes: 15 } },
  hour: { label: 'One hour', choice: { for: 'duration', minutes: 60 } },
  day: { label: 'Eight hours', choice: { for: 'duration', minutes: 480 } },
  session: { label: 'Until the session of the agent ends, at most eight hours', choice: { for: 'session' } },
};

/** Throws INVALID_INPUT for a choice that the page does not have. */
export function choiceOf(form: FormData): ApprovalChoiceInput {
  const term = TERMS[textOf(form, 'term') || 'once'];
  const each = GRANT_EXTENTS.find((one) => one === (textOf(form, 'each') || 'request'));
  if (term === undefined || each === undefined)
    throw new VaultError('INVALID_INPUT', 'Choose the time and the requests that the approval covers.');
  return { ...term.choice, each };
}

export const RequestChoice: FC<{ readonly approval: Approval }> = ({ approval }) => {
  const { endpoint, host, has_session } = approval;
  return (
    <>
      <Field
        name="term"
        label="Valid"
        required
        value="once"
        options={Object.entries(TERMS)
          .filter(([value]) => has_session || value !== 'session')
          .map(([value, { label }]) => ({ value, label }))}
      />
      {endpoint !== null && host !== null && (
        <RadioGroup
          name="each"
          legend="Covers"
          value="request"
          choices={[
            { value: 'request', label: 'This request', description: 'The same query and body.' },
            { value: 'endpoint', label: endpoint, description: 'With any query and body.' },
            {
              value: 'host',
              label: `Every request to ${host}`,
              description: 'Within the limits of the credential.',
            },
          ]}
        />
      )}
    </>
  );
};
