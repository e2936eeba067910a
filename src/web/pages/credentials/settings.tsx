/** The switches of a credential: expiry, use, protection and deletion, each with what it does. */
import type { FC } from 'hono/jsx';
import type { CredentialInfo, CredentialStatus } from '../../../contract/credential.ts';
import { EXPIRES_FIELD } from '../../forms/read_fields.ts';
import { Button, ButtonLink, Field, PostForm, Time } from '../../layout/components.tsx';
import { expiryOf } from '../../layout/expiry.tsx';
import { credentialPath } from './lookup.ts';

interface SettingsProps {
  readonly info: CredentialInfo;
  /** `undefined`: of another user. */
  readonly status: CredentialStatus | undefined;
  readonly now: Date;
  readonly csrf: string;
}

export const Settings: FC<SettingsProps> = ({ info, status, now, csrf }) => {
  const path = credentialPath(info.id);
  return (
    <section class="group">
      <h2>Settings</h2>
      <ul class="rows">
        {status !== undefined && <Expiry path={path} status={status} now={now} csrf={csrf} />}
        <li class="row setting">
          <span class="row-main">
            <span class="row-title">{info.inactive ? 'Switched off' : 'Switched on'}</span>
            <span class="row-text">
              {info.inactive ? 'No agent can use it.' : 'Switch it off to stop all uses. The values stay.'}
            </span>
          </span>
          <PostForm action={`${path}/switch`} csrf={csrf} class="inline">
            <Button kind="secondary" name="inactive" value={info.inactive ? 'no' : 'yes'}>
              {info.inactive ? 'Switch on' : 'Switch off'}
            </Button>
          </PostForm>
        </li>
        {status !== undefined && (
          <li class="row setting">
            <span class="row-main">
              <span class="row-title">{status.protected ? 'Protected' : 'Not protected'}</span>
              <span class="row-text">
                {status.protected
                  ? 'New values from agents wait until a person accepts them.'
                  : 'Agents can replace its values. Protect it, and new values wait for a person.'}
              </span>
            </span>
            <PostForm action={`${path}/protect`} csrf={csrf} class="inline">
              <Button kind="secondary" name="protected" value={status.protected ? 'no' : 'yes'}>
                {status.protected ? 'End protection' : 'Protect'}
              </Button>
            </PostForm>
          </li>
        )}
        <li class="row setting">
          <span class="row-main">
            <span class="row-title">Delete this credential</span>
            <span class="row-text">Its values are destroyed. This cannot be undone.</span>
          </span>
          <ButtonLink href={`${path}/delete`} kind="danger-quiet" dialog>
            Delete
          </ButtonLink>
        </li>
      </ul>
    </section>
  );
};

const Expiry: FC<{
  readonly path: string;
  readonly status: CredentialStatus;
  readonly now: Date;
  readonly csrf: string;
}> = ({ path, status: { expires_at }, now, csrf }) => (
  <li class="row setting">
    <span class="row-main">
      <span class="row-title">
        {expires_at === null ? (
          'Does not expire'
        ) : (
          <span>
            {expiryOf(expires_at, now) === 'expired' ? 'Expired' : 'Expires'} <Time at={expires_at} />
          </span>
        )}
      </span>
      <span class="row-text">From then on it is not used. You see it here 14 days ahead.</span>
    </span>
    <details class="setting-change">
      <summary class="button button-secondary">
        {expires_at === null ? 'Set expiry' : 'Change expiry'}
      </summary>
      <PostForm action={`${path}/expiry`} csrf={csrf}>
        <Field
          name={EXPIRES_FIELD}
          label="Expires"
          description="Date and time in UTC."
          type="datetime-local"
          value={expires_at?.slice(0, 16)}
        />
        <div class="actions">
          <Button name="change" value="set">
            Save
          </Button>
          {expires_at !== null && (
            <Button kind="secondary" name="change" value="remove">
              Remove expiry
            </Button>
          )}
        </div>
      </PostForm>
    </details>
  </li>
);
