/** The icons of the pages, as inline SVG. They are decoration: a text beside each names the thing. */
import type { FC, PropsWithChildren } from 'hono/jsx';

export const BrandMark: FC = () => (
  <svg class="brand-mark" viewBox="0 0 24 24" width="24" height="24" aria-hidden="true" focusable="false">
    <rect width="24" height="24" rx="6" />
    <circle cx="12" cy="10" r="3.4" />
    <path d="M10.6 12h2.8l1.1 6h-5z" />
  </svg>
);

const Icon: FC<PropsWithChildren> = ({ children }) => (
  <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
    {children}
  </svg>
);

export const SearchIcon: FC = () => (
  <Icon>
    <circle cx="7" cy="7" r="4.25" />
    <path d="m10.25 10.25 3.25 3.25" />
  </Icon>
);

export const CheckIcon: FC = () => (
  <Icon>
    <path d="m3.5 8.5 3 3 6-7" />
  </Icon>
);

export const CrossIcon: FC = () => (
  <Icon>
    <path d="m4.5 4.5 7 7m0-7-7 7" />
  </Icon>
);

export const ClockIcon: FC = () => (
  <Icon>
    <circle cx="8" cy="8" r="5.5" />
    <path d="M8 5v3l2 1.5" />
  </Icon>
);
