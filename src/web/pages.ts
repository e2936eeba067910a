/** All pages for people who are signed in, each a module of `src/web/pages`. */
import type { Page } from './page.ts';
import { approvalPages } from './pages/approvals/approvals.tsx';
import { auditPages } from './pages/audit/audit.tsx';
import { callbackPages } from './pages/connect/callback.tsx';
import { connectPages } from './pages/connect/connect.tsx';
import { credentialPages } from './pages/credentials/credentials.tsx';
import { enterPages } from './pages/enter/enter.tsx';
import { keyPages } from './pages/keys/keys.tsx';
import { servicePages } from './pages/services/services.tsx';
import { stackPages } from './pages/stacks.tsx';
import { toolPages } from './pages/tools.tsx';

export const PAGES: readonly Page[] = [
  servicePages,
  toolPages,
  credentialPages,
  stackPages,
  keyPages,
  auditPages,
  connectPages,
  callbackPages,
  enterPages,
  approvalPages,
];
