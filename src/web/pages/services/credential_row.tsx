/** A credential in a list of the services page: its service and name, a line of text, and badges as children. */
import type { Child, FC, PropsWithChildren } from 'hono/jsx';
import type { CredentialSummary } from '../../../contract/credential.ts';
import { Logo } from '../../layout/logo.tsx';
import { credentialPath } from '../credentials/lookup.ts';

export const CredentialRow: FC<
  PropsWithChildren<{ readonly credential: CredentialSummary; readonly text: Child }>
> = ({ credential: { credential_id, service_id, service_name, name }, text, children }) => (
  <li>
    <a class="row" href={credentialPath(credential_id ?? '')}>
      <Logo service_id={service_id} name={service_name} />
      <span class="row-main">
        <span class="row-title">
          {service_name}
          {name !== null && <span class="row-name">{name}</span>}
        </span>
        <span class="row-text">{text}</span>
      </span>
      <span class="row-aside">{children}</span>
    </a>
  </li>
);
