/** The frame of every page: header with navigation, messages, and the content. */
import type { FC, PropsWithChildren } from 'hono/jsx';
import type { FlashMessage, Section, View } from '../page.ts';
import { CSRF_FIELD } from '../session/request_checks.ts';
import { BrandMark } from './icons.tsx';

const SECTIONS: readonly { readonly section: Section; readonly path: string; readonly label: string }[] = [
  { section: 'services', path: '/dashboard', label: 'Services' },
  { section: 'approvals', path: '/dashboard/approvals', label: 'Approvals' },
  { section: 'stacks', path: '/dashboard/stacks', label: 'Stacks' },
  { section: 'keys', path: '/dashboard/keys', label: 'API keys' },
  { section: 'audit', path: '/dashboard/audit', label: 'Audit log' },
];

/** The sections whose page is among the paths. */
export function sectionsOf(paths: ReadonlySet<string>): readonly Section[] {
  return SECTIONS.filter(({ path }) => paths.has(path)).map(({ section }) => section);
}

type DocumentProps = PropsWithChildren<{
  readonly view: View;
  readonly title: string;
  readonly section?: Section | undefined;
}>;

export const Document: FC<DocumentProps> = ({ view, title, section, children }) => (
  <html lang="en">
    <head>
      <meta charset="utf-8" />
      <title>{title} · Keyhold</title>
      <meta name="viewport" content="width=device-width, initial-scale=1" />
      <meta name="color-scheme" content="light dark" />
      <meta name="robots" content="noindex" />
      <link rel="icon" href={ICON} />
      <link rel="stylesheet" href={view.assets.style.path} />
      <script src={view.assets.script.path} defer />
    </head>
    <body>
      <a class="skip-link" href="#main">
        Skip to content
      </a>
      <Header view={view} section={section} />
      <main id="main" class={view.session === undefined ? 'main main-narrow' : 'main'} tabindex={-1}>
        <Messages messages={view.messages} />
        {children}
      </main>
    </body>
  </html>
);

const ICON =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24'%3E%3Crect width='24' height='24' rx='6' fill='%234655d6'/%3E%3Ccircle cx='12' cy='10' r='3.4' fill='%23fff'/%3E%3Cpath d='M10.6 12h2.8l1.1 6h-5z' fill='%23fff'/%3E%3C/svg%3E";

const Header: FC<{ readonly view: View; readonly section: Section | undefined }> = ({ view, section }) => (
  <header class="header">
    <div class="header-inner">
      <Brand linked={view.sections.includes('services')} />
      {view.session !== undefined && (
        <>
          <nav class="nav" aria-label="Main">
            <ul>
              {SECTIONS.filter((one) => view.sections.includes(one.section)).map((one) => (
                <li>
                  <a href={one.path} aria-current={one.section === section ? 'page' : undefined}>
                    {one.label}
                  </a>
                </li>
              ))}
            </ul>
          </nav>
          <details class="account popup">
            <summary>
              <span class="popup-name">{view.session.caller.user}</span>
            </summary>
            <div class="menu">
              <p class="menu-text">
                Signed in as <strong>{view.session.caller.user}</strong> of{' '}
                <strong>{view.session.caller.organization}</strong>
              </p>
              <form method="post" action="/dashboard/sign-out">
                <input type="hidden" name={CSRF_FIELD} value={view.session.csrf_token} />
                <button class="menu-item" type="submit">
                  Sign out
                </button>
              </form>
            </div>
          </details>
        </>
      )}
    </div>
  </header>
);

/** A link, unless this server has the page of a handle only. */
const Brand: FC<{ readonly linked: boolean }> = ({ linked }) => {
  const content = (
    <>
      <BrandMark />
      <span>Keyhold</span>
    </>
  );
  if (!linked) return <span class="brand">{content}</span>;
  return (
    <a class="brand" href="/dashboard">
      {content}
    </a>
  );
};

const Messages: FC<{ readonly messages: readonly FlashMessage[] }> = ({ messages }) => (
  <>
    {messages.map(({ kind, text }) => (
      <p class={`message message-${kind}`} role={kind === 'error' ? 'alert' : 'status'}>
        {text}
      </p>
    ))}
  </>
);
