/** The question before something that cannot be undone: a page that works without scripts, and a dialog with them. */
import type { Child, FC } from 'hono/jsx';
import { Button, ButtonLink, PostForm } from './components.tsx';

export const ConfirmPage: FC<{
  readonly title: string;
  readonly text: Child;
  /** The button: the verb of what happens, such as `Delete credential`. */
  readonly label: string;
  readonly action: string;
  readonly cancel_href: string;
  readonly csrf: string;
  /** Further fields to send. */
  readonly fields?: Readonly<Record<string, string>>;
}> = ({ title, text, label, action, cancel_href, csrf, fields = {} }) => (
  <div class="confirm" data-confirm="">
    <h1>{title}</h1>
    <div class="confirm-text">{text}</div>
    <PostForm action={action} csrf={csrf} class="confirm-actions">
      {Object.entries(fields).map(([name, value]) => (
        <input type="hidden" name={name} value={value} />
      ))}
      <ButtonLink href={cancel_href}>Cancel</ButtonLink>
      <Button kind="danger">{label}</Button>
    </PostForm>
  </div>
);
