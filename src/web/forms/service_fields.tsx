/** The controls for the values of a service, made from its definition. They never contain a stored or a refused value. */
import type { FC } from 'hono/jsx';
import type { FieldDefinition } from '../../contract/service/fields.ts';
import { RadioGroup } from '../layout/choices.tsx';
import { ExternalLink, Field } from '../layout/components.tsx';
import { FILE_PREFIX, type FieldProblem, VALUE_PREFIX } from './read_fields.ts';

/** Above the controls: what was refused, and that all values have to be entered again. */
export const ProblemMessage: FC<{ readonly problem: FieldProblem | undefined }> = ({ problem }) =>
  problem && (
    <p class="message message-error" role="alert">
      {problem.message} Nothing was saved. Enter all values again: this page does not keep them.
    </p>
  );

/** Required fields first, the optional ones behind a heading that opens them. */
export const ServiceFields: FC<{
  readonly fields: readonly FieldDefinition[];
  readonly problem: FieldProblem | undefined;
  /** The ids of fields that must be filled in. Default: as the definition has it. */
  readonly required?: ReadonlySet<string>;
}> = ({ fields, problem, required }) => {
  const isRequired = (field: FieldDefinition) => required?.has(field.field_id) ?? field.required;
  const first = fields.filter(isRequired);
  const others = fields.filter((field) => !isRequired(field));
  const has_problem = others.some(({ field_id }) => field_id === problem?.field_id);
  const controls = (shown: readonly FieldDefinition[]) =>
    shown.map((field) => (
      <ValueField
        field={field}
        required={isRequired(field)}
        problem={field.field_id === problem?.field_id ? problem.message : undefined}
      />
    ));
  if (first.length === 0) return <>{controls(others)}</>;
  return (
    <>
      {controls(first)}
      {others.length > 0 && (
        <details class="more-fields" open={has_problem}>
          <summary>
            Optional fields <span class="count">{others.length}</span>
          </summary>
          <div class="stack">{controls(others)}</div>
        </details>
      )}
    </>
  );
};

/** More are a list that opens. */
const RADIO_CHOICES_MAX = 4;

/** Whether the controls of these fields include one for a file. */
export function hasFileField(fields: readonly FieldDefinition[]): boolean {
  return fields.some(({ multiline }) => multiline === true);
}

/**
 * The pattern for an HTML control. Browsers compile it with the `v` flag, under which `-` at the end of a class and `/` in it
 * must be escaped; they ignore an invalid pattern, and the server validates each value anyway. Blanks around a value are accepted,
 * as the server removes them; both compare the whole value, so the anchors of the pattern are not needed.
 */
function browserPattern(pattern: string): string {
  const escaped = pattern.replace(/(?<!\\)(?:-(?=\])|\/)/g, '\\$&');
  return `\\s*(?:${escaped.replace(/^\^|(?<!\\)\$$/g, '')})\\s*`;
}

export const ValueField: FC<{
  readonly field: FieldDefinition;
  readonly required: boolean;
  readonly problem: string | undefined;
}> = ({ field, required, problem }) => {
  const { field_id, name, description, help_url, secret, multiline, choices, example } = field;
  const help = (
    <>
      {description} {help_url !== undefined && <ExternalLink href={help_url}>Where to find it</ExternalLink>}
      {field.kind === 'totp' && ' Give the secret of the one-time codes, not a code.'}
    </>
  );
  const shared = { label: name, description: help, error: problem, required };
  if (choices !== undefined) {
    const options = choices.map((choice) => ({ value: choice.value, label: choice.name }));
    const none = { value: '', label: required ? 'Choose one' : 'No choice' };
    if (required && choices.length <= RADIO_CHOICES_MAX)
      return (
        <RadioGroup
          name={VALUE_PREFIX + field_id}
          legend={name}
          description={help}
          choices={options}
          value={field.default}
          error={problem}
          required
        />
      );
    return (
      <Field
        {...shared}
        name={VALUE_PREFIX + field_id}
        options={[none, ...options]}
        value={required ? field.default : ''}
      />
    );
  }
  if (multiline === true)
    return (
      <>
        {/* Not required by the browser: a file can be given instead. The server checks. */}
        <Field {...shared} name={VALUE_PREFIX + field_id} rows={6} required={false} />
        <Field name={FILE_PREFIX + field_id} label={`${name} as a file`} type="file" />
      </>
    );
  return (
    <Field
      {...shared}
      name={VALUE_PREFIX + field_id}
      type={secret ? 'password' : 'text'}
      reveal={secret}
      placeholder={example ?? field.default ?? ''}
      // A reference to a value elsewhere, which a secret can be, matches no pattern.
      pattern={secret || field.pattern === undefined ? undefined : browserPattern(field.pattern)}
      title={secret || example === undefined ? undefined : `A value such as ${example}`}
      autocomplete={secret ? 'new-password' : 'off'}
    />
  );
};
