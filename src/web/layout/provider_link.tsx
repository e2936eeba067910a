/** The page from which the browser goes on to a provider: of a service, or of identities. */
import type { AnyPageContext } from '../page.ts';
import { showPage } from '../respond.tsx';
import { ButtonLink } from './components.tsx';
import { Outcome } from './outcome.tsx';

/**
 * Goes on to the provider by itself, or with the link. A redirect of the POST would be refused by browsers that apply the
 * directive form-action of the content security policy to redirects.
 */
export function showProviderLink(c: AnyPageContext, name: string, authorization_url: string): Response {
  c.header('Refresh', `0; url=${authorization_url}`);
  const title = `Continue to ${name}`;
  const text = (
    <>
      You sign in at <strong>{new URL(authorization_url).host}</strong>, and come back here. Check that
      address before you sign in.
    </>
  );
  return showPage(
    c,
    { title },
    <Outcome mark="waiting" title={title} text={text}>
      <ButtonLink href={authorization_url} kind="primary">
        {title}
      </ButtonLink>
    </Outcome>,
  );
}
