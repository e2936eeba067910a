/** The page at the end of something: a mark, a title, what has happened, and what to do next. */
import type { Child, FC, PropsWithChildren } from 'hono/jsx';
import { CheckIcon, ClockIcon, CrossIcon } from './icons.tsx';

const MARKS = {
  done: { class: 'outcome-good', icon: <CheckIcon /> },
  ended: { class: 'outcome-neutral', icon: <CrossIcon /> },
  waiting: { class: 'outcome-neutral', icon: <ClockIcon /> },
} as const;

export const Outcome: FC<
  PropsWithChildren<{ readonly mark: keyof typeof MARKS; readonly title: string; readonly text: Child }>
> = ({ mark, title, text, children }) => (
  <div class="outcome">
    <span class={`outcome-mark ${MARKS[mark].class}`}>{MARKS[mark].icon}</span>
    <h1>{title}</h1>
    <p>{text}</p>
    {children}
  </div>
);
