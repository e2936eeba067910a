/** The parts that pages are built from: buttons, fields, badges, tables, cards. They escape every text that they show. */
import type { Child, FC, PropsWithChildren } from 'hono/jsx';
import { CSRF_FIELD } from '../session/request_checks.ts';

/** `danger-quiet` opens a confirmation; `danger` is the last step. */
type Kind = 'primary' | 'secondary' | 'danger' | 'danger-quiet' | 'quiet';

type ButtonProps = PropsWithChildren<{
  readonly kind?: Kind;
  /** Sent with the fields, to distinguish two buttons. */
  readonly name?: string;
  readonly value?: string;
}>;

/** The button that sends an HTML form. */
export const Button: FC<ButtonProps> = ({ kind = 'primary', name, value, children }) => (
  <button class={`button button-${kind}`} type="submit" name={name} value={value}>
    {children}
  </button>
);

/**
 * With `dialog`, the page of the link opens as a dialog where scripts run; it must be a `ConfirmPage`. With `reload`, a reload
 * opens the page of the link there, in place of a repeated POST.
 */
export const ButtonLink: FC<
  PropsWithChildren<{
    readonly href: string;
    readonly kind?: Kind;
    readonly dialog?: boolean;
    readonly reload?: boolean;
  }>
> = ({ href, kind = 'secondary', dialog = false, reload = false, children }) => (
  <a
    class={`button button-${kind}`}
    href={href}
    data-dialog={dialog ? '' : undefined}
    data-reload={reload ? '' : undefined}
  >
    {children}
  </a>
);

/** An HTML form that changes something. `files`: it has a field for a file. */
export const PostForm: FC<
  PropsWithChildren<{
    readonly action: string;
    readonly csrf: string;
    readonly files?: boolean;
    readonly class?: string;
  }>
> = ({ action, csrf, files = false, class: name = 'stack', children }) => (
  <form
    method="post"
    action={action}
    class={name}
    enctype={files ? 'multipart/form-data' : undefined}
    autocomplete="off"
  >
    <input type="hidden" name={CSRF_FIELD} value={csrf} />
    {children}
  </form>
);

interface FieldProps {
  readonly name: string;
  readonly label: Child;
  readonly description?: Child;
  /** Why the sent value was refused. It never repeats the value. */
  readonly error?: string | undefined;
  readonly required?: boolean;
  /** Never a secret value. */
  readonly value?: string | undefined;
  readonly placeholder?: string;
  readonly type?: 'text' | 'password' | 'url' | 'search' | 'email' | 'file' | 'datetime-local' | 'number';
  /** Adds a button that shows a password. */
  readonly reveal?: boolean;
  readonly rows?: number;
  readonly pattern?: string | undefined;
  /** Shown with a pattern that does not match. */
  readonly title?: string | undefined;
  readonly autocomplete?: string;
  readonly autofocus?: boolean;
  readonly options?: readonly { readonly value: string; readonly label: string }[];
}

/** A label, a control, its description and its error, connected for screen readers. */
export const Field: FC<FieldProps> = (props) => {
  const { name, label, description, error, required = false } = props;
  const id = `field-${name}`;
  const described = [description && `${id}-description`, error && `${id}-error`].filter(Boolean).join(' ');
  return (
    <div class={error === undefined ? 'field' : 'field field-invalid'}>
      <label for={id}>
        {label}
        {!required && <span class="field-optional"> Optional</span>}
      </label>
      {description && (
        <p class="field-description" id={`${id}-description`}>
          {description}
        </p>
      )}
      <Control {...props} id={id} described_by={described === '' ? undefined : described} />
      {error && (
        <p class="field-error" id={`${id}-error`}>
          {error}
        </p>
      )}
    </div>
  );
};

const Control: FC<FieldProps & { readonly id: string; readonly described_by: string | undefined }> = (
  props,
) => {
  const { id, name, required = false, value, error, described_by, options, rows, type = 'text' } = props;
  const shared = {
    id,
    name,
    required,
    'aria-describedby': described_by,
    'aria-invalid': error === undefined ? undefined : ('true' as const),
    autofocus: props.autofocus,
    placeholder: props.placeholder,
  };
  if (options !== undefined)
    return (
      <select {...shared} class="input">
        {options.map((option) => (
          <option value={option.value} selected={option.value === value}>
            {option.label}
          </option>
        ))}
      </select>
    );
  if (rows !== undefined)
    return (
      <textarea {...shared} class="input" rows={rows} spellcheck={false}>
        {value}
      </textarea>
    );
  return (
    <input
      {...shared}
      class="input"
      type={type}
      value={value}
      pattern={props.pattern}
      title={props.title}
      autocomplete={props.autocomplete ?? 'off'}
      autocapitalize="none"
      spellcheck={false}
      data-reveal={props.reveal ? '' : undefined}
    />
  );
};

type Tone = 'neutral' | 'good' | 'warning' | 'bad' | 'accent';

export const Badge: FC<PropsWithChildren<{ readonly tone?: Tone }>> = ({ tone = 'neutral', children }) => (
  <span class={`badge badge-${tone}`}>{children}</span>
);

export const Card: FC<PropsWithChildren<{ readonly title?: string; readonly aside?: Child }>> = ({
  title,
  aside,
  children,
}) => (
  <section class="card">
    {title !== undefined && (
      <div class="card-header">
        <h2>{title}</h2>
        {aside}
      </div>
    )}
    {children}
  </section>
);

/** A table that scrolls sideways on a phone. `caption`: for screen readers. */
export const Table: FC<
  PropsWithChildren<{ readonly caption: string; readonly columns: readonly string[] }>
> = ({ caption, columns, children }) => (
  <section class="table-scroll" aria-label={caption} tabindex={0}>
    <table class="table">
      <caption class="visually-hidden">{caption}</caption>
      <thead>
        <tr>
          {columns.map((column) => (
            <th scope="col">{column}</th>
          ))}
        </tr>
      </thead>
      <tbody>{children}</tbody>
    </table>
  </section>
);

/** In the middle of an empty list: why it is empty, and what to do next. */
export const EmptyState: FC<PropsWithChildren<{ readonly title: string }>> = ({ title, children }) => (
  <div class="empty">
    <h2>{title}</h2>
    {children}
  </div>
);

/** The title of a page, a sentence below it, and what can be done at the right. */
export const PageHeading: FC<
  PropsWithChildren<{
    readonly title: string;
    readonly text?: Child;
    readonly back?: { readonly href: string; readonly label: string };
    readonly logo?: Child;
  }>
> = ({ title, text, back, logo, children }) => (
  <div class="page-heading">
    {logo}
    <div class="page-heading-main">
      {back !== undefined && (
        <a class="back" href={back.href}>
          {back.label}
        </a>
      )}
      <h1>{title}</h1>
      {text !== undefined && <p class="page-text">{text}</p>}
    </div>
    {children && <div class="page-actions">{children}</div>}
  </div>
);

/** A text that is copied with a button where scripts run. */
export const Code: FC<{ readonly text: string }> = ({ text }) => (
  <span class="code">
    <code>{text}</code>
    <button class="code-copy js-only" type="button" data-copy={text}>
      Copy
    </button>
  </span>
);

/** A timestamp, which scripts show as `3 minutes ago`. */
export const Time: FC<{ readonly at: string }> = ({ at }) => (
  <time datetime={at} data-relative="" title={at}>
    {at.slice(0, 16).replace('T', ' ')} UTC
  </time>
);

/** A link to another site. Shows only its text unless the address is https: a definition may contain any address. */
export const ExternalLink: FC<PropsWithChildren<{ readonly href: string }>> = ({ href, children }) =>
  URL.canParse(href) && new URL(href).protocol === 'https:' ? (
    <a href={href} target="_blank" rel="noopener noreferrer">
      {children}
    </a>
  ) : (
    <span>{children}</span>
  );

/** A term and what it is, in a `<dl class="facts">`. */
export const Fact: FC<PropsWithChildren<{ readonly term: string }>> = ({ term, children }) => (
  <div>
    <dt>{term}</dt>
    <dd>{children}</dd>
  </div>
);
