/** Groups of checkboxes and radio buttons, each with a legend that names the group. */
import type { Child, FC } from 'hono/jsx';

export interface Choice {
  readonly value: string;
  readonly label: Child;
  readonly description?: Child;
}

interface GroupProps {
  readonly name: string;
  readonly legend: Child;
  readonly description?: Child;
  readonly choices: readonly Choice[];
  /** Why the choice was refused. */
  readonly error?: string | undefined;
}

/** Any number of choices. */
export const CheckboxGroup: FC<GroupProps & { readonly checked: ReadonlySet<string> }> = ({
  checked,
  ...props
}) => <Group {...props} type="checkbox" isChecked={(value) => checked.has(value)} />;

/** One choice. `required`: the browser requires one. */
export const RadioGroup: FC<
  GroupProps & { readonly value: string | undefined; readonly required?: boolean }
> = ({ value, required = false, ...props }) => (
  <Group {...props} type="radio" required={required} isChecked={(one) => one === value} />
);

const Group: FC<
  GroupProps & {
    readonly type: 'checkbox' | 'radio';
    readonly required?: boolean;
    readonly isChecked: (value: string) => boolean;
  }
> = ({ name, legend, description, choices, error, type, required = false, isChecked }) => {
  const id = `field-${name}`;
  const described = [description && `${id}-description`, error && `${id}-error`].filter(Boolean).join(' ');
  return (
    <fieldset
      class={error === undefined ? 'choices' : 'choices field-invalid'}
      aria-describedby={described === '' ? undefined : described}
    >
      <legend>{legend}</legend>
      {description && (
        <p class="field-description" id={`${id}-description`}>
          {description}
        </p>
      )}
      <div class="choices-list">
        {choices.map((choice) => (
          <label class="choice">
            <input
              type={type}
              name={name}
              value={choice.value}
              checked={isChecked(choice.value)}
              required={required}
            />
            <span>
              {choice.label}
              {choice.description && <span class="choice-description">{choice.description}</span>}
            </span>
          </label>
        ))}
      </div>
      {error && (
        <p class="field-error" id={`${id}-error`}>
          {error}
        </p>
      )}
    </fieldset>
  );
};
