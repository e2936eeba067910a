/** The page from which the browser goes on to the provider. */

import { ButtonLink } from '../../layout/components.tsx';
import { Outcome } from '../../layout/outcome.tsx';
import type { PageContext } from '../../page.ts';
import { showPage } from '../../respond.tsx';

/**
 * Goes on to the provider by itself, or with the link. A redirect of the POST would be refused by browsers that apply the
 * directive form-action of the content security policy to redirects.
 */
export function showProviderLink(c: PageContext, service_name: string, authorization_url: string): Response {
  c.header('Refresh', `0; url=${authorization_url}`);
  const { host } = new URL(authorization_url);
  const text = (
    <>
      You permit access at <strong>{host}</strong>, and come back here. Check that address before you sign in.
    </>
  );
  return showPage(
    c,
    { title: `Continue to ${service_name}` },
    <Outcome mark="waiting" title={`Continue to ${service_name}`} text={text}>
      <ButtonLink href={authorization_url} kind="primary">
        Continue
      </ButtonLink>
    </Outcome>,
  );
}
