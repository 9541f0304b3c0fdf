// What the pages show, worked out without a page: numbers to words, and which notices are new.

/** One sentence for a person, with what they can do. */
export interface INotice {
  id: number | string;
  time: string;
  level: 'info' | 'warning' | 'error';
  code: string;
  message: string;
  hint: string;
  /** Of the kernel that was stopped, where it is about one. */
  kernel?: string;
  /** Whether a page of this server has shown it. */
  seen?: boolean;
}

/** What the server should have and has not yet. */
export interface IComing {
  /** When it has less at the latest, ISO 8601; null for more, which comes as soon as there is room. */
  at: string | null;
  /** 0 where the server is stopped then. */
  memory_bytes: number;
  title: string;
}

/** The end of a profile that was lent. */
export interface IUntil {
  at: string;
  /** The profile that comes then. */
  title: string;
}

/** What the server answers; sizes in bytes, null where nobody knows. */
export interface IStatus {
  used_bytes: number | null;
  memory_bytes: number | null;
  profile: string;
  title: string;
  home_bytes: number | null;
  home_complete: boolean;
  storage_bytes: number | null;
  coming?: IComing | null;
  until?: IUntil | null;
  hub_url: string;
  notices: INotice[];
  ended: INotice | null;
}

/** Why a page gets no answer: nobody knows; its server was stopped; was started anew; or nobody is logged in any more. */
export type Loss = 'silent' | 'stopped' | 'renewed' | 'refused';

export type Level = 'ok' | 'high' | 'full' | 'unknown';

/** The command that shows what fills the home. */
export const OPEN_HOME = 'cubehub-account:open-home';

/** Codes of the notices about the home, from which the panel is one click away. */
export const ABOUT_HOME: ReadonlySet<string> = new Set(['home_filling', 'home_full', 'cleanup_coming']);

/** Share of the limit from which on the item turns amber, and red. */
export const HIGH = 0.8;
export const FULL = 0.95;

const UNITS: [string, number][] = [
  ['TiB', 2 ** 40],
  ['GiB', 2 ** 30],
  ['MiB', 2 ** 20],
  ['KiB', 2 ** 10]
];

/** Write a size as people read it: `5 GiB`, `2.1 GiB`, `300 MiB`. */
export function formatBytes(bytes: number): string {
  for (const [unit, size] of UNITS) {
    if (bytes >= size) {
      const count = bytes / size;
      return `${count >= 100 ? Math.round(count) : Math.round(count * 10) / 10} ${unit}`;
    }
  }
  return `${bytes} B`;
}

/** Write use and limit with one unit where they share it: `2.1 / 5 GiB`. */
export function formatPair(used: number, limit: number): string {
  const [a, b] = [formatBytes(used), formatBytes(limit)];
  const [number, unit] = a.split(' ');
  return b.endsWith(` ${unit}`) ? `${number} / ${b}` : `${a} / ${b}`;
}

/** What the item in the status bar says. */
export interface ISummary {
  text: string;
  /** The same in words, for those who do not see the bar. */
  label: string;
  /** Filled share of the bar, 0 to 1. */
  share: number;
  level: Level;
}

export function summarise(status: IStatus): ISummary {
  const { used_bytes: used, memory_bytes: limit, title } = status;
  const profile = title ? ` · ${title}` : '';
  if (used === null || limit === null || limit <= 0) {
    const text = used === null ? 'RAM unknown' : `RAM ${formatBytes(used)}`;
    return { text: text + profile, label: `${text}${profile}, no limit known`, share: 0, level: 'unknown' };
  }
  const share = Math.min(1, used / limit);
  const level = share >= FULL ? 'full' : share >= HIGH ? 'high' : 'ok';
  const percent = Math.round(share * 100);
  const warning = level === 'full' ? ', almost at the limit' : level === 'high' ? ', getting full' : '';
  return {
    text: `RAM ${formatPair(used, limit)}${profile}`,
    label: `Memory of your whole server: ${formatBytes(used)} of ${formatBytes(limit)}, ${percent} %${warning}${title ? `, profile ${title}` : ''}`,
    share,
    level
  };
}

/** What the server holds in files. */
export function describeHome(status: IStatus): string {
  if (status.home_bytes === null) {
    return 'being counted …';
  }
  const size = `${status.home_complete ? '' : 'more than '}${formatBytes(status.home_bytes)}`;
  return status.storage_bytes ? `${size} of ${formatBytes(status.storage_bytes)}` : size;
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** Write a moment as all of CubeHub does: `28 Nov 2026 06:30 UTC`. */
export function formatMoment(text: string): string {
  const moment = new Date(text);
  if (Number.isNaN(moment.getTime())) {
    return text;
  }
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = `${two(moment.getUTCDate())} ${MONTHS[moment.getUTCMonth()]} ${moment.getUTCFullYear()}`;
  return `${day} ${two(moment.getUTCHours())}:${two(moment.getUTCMinutes())} UTC`;
}

/** What comes and when, or null where nothing does. */
export function describeComing({ coming }: IStatus): string | null {
  if (!coming) {
    return null;
  }
  const size = `${formatBytes(coming.memory_bytes)}${coming.title ? ` (${coming.title})` : ''}`;
  if (coming.at === null) {
    return `${size}, as soon as the machine has room`;
  }
  const when = formatMoment(coming.at);
  return coming.memory_bytes
    ? `${size} by ${when}; the server is stopped if it then uses more`
    : `the server is stopped at ${when}`;
}

/** When a lent profile ends and what comes then, or null where it is the person's for good. */
export function describeUntil({ until }: IStatus): string | null {
  return until ? `${formatMoment(until.at)}, then ${until.title}` : null;
}

/** Something that holds until its time, for whoever has not read of it on this page. */
export interface IStanding {
  key: string;
  code: string;
  level: 'info' | 'warning';
  message: string;
  hint: string;
  /** Codes of the notices that say the same. */
  saidBy: string[];
  /** Whether it is told on each page; else once more in a browser, since weeks may pass until its time. */
  urgent: boolean;
}

const DAY_MS = 24 * 60 * 60 * 1000;

/** Codes of the notices about the limit, of which only the last holds. */
export const ABOUT_LIMIT: ReadonlySet<string> = new Set(['resized', 'less_memory', 'withdrawn', 'no_room']);

/** Code of what is said of the end of a lent profile. */
export const UNTIL = 'until';

/** What a page that was loaded anew says once more: a notice of yesterday is gone, and what it warned of is not. */
export function standing(status: IStatus, now: number): IStanding[] {
  const found: IStanding[] = [];
  const { coming, until } = status;
  if (coming?.at) {
    const when = formatMoment(coming.at);
    const size = formatBytes(coming.memory_bytes);
    found.push({
      key: `coming@${coming.at}@${coming.memory_bytes}`,
      code: 'less_memory',
      level: 'warning',
      message: coming.memory_bytes
        ? `This server will be stopped at ${when}, unless it uses less than ${size} by then.`
        : `This server will be stopped at ${when}: your profile has no room for it any more.`,
      hint: coming.memory_bytes
        ? `Close notebooks until less than ${size} is used, and the new limit comes without a stop. Files are kept.`
        : 'Save your work, or stop another of your servers. Files are kept.',
      saidBy: ['less_memory'],
      urgent: true
    });
  }
  if (until) {
    found.push({
      key: `until@${until.at}@${until.title}`,
      code: UNTIL,
      level: 'info',
      message: `You have your profile until ${formatMoment(until.at)}, then ${until.title}.`,
      hint: '',
      saidBy: ['resized'],
      urgent: new Date(until.at).getTime() - now < DAY_MS
    });
  }
  return found;
}

/** What Lab shows of a message that comes up in the corner; it cuts the rest off. */
const TOAST = 140;

/** The text for the corner, and whether there is more to read than fits. */
export function forToast(message: string, hint: string): { text: string; more: boolean } {
  const whole = `${message} ${hint}`.trim();
  return whole.length <= TOAST ? { text: whole, more: false } : { text: message, more: true };
}

/** What the item says instead of numbers that no longer hold. */
export function summariseLoss(loss: Loss): ISummary {
  const [text, label] = {
    silent: ['RAM: no answer', 'Memory of your server: the server does not answer'],
    stopped: ['Server stopped', 'Your server was stopped. Your files are kept.'],
    renewed: ['Load the page anew', 'Your server was started anew. Load the page anew to go on.'],
    refused: ['Access ended', 'Your server no longer accepts this page. Your files are kept.']
  }[loss];
  return { text, label, share: 0, level: 'unknown' };
}

/** Tell one saying of a notice from another, as the server does. */
export function keyOf(notice: INotice): string {
  return `${notice.id}@${notice.time}`;
}

/** The notices to show now, oldest first.
 *
 * An end of access has a dialog of its own, and so has a stopped kernel whose notebook is open on this page.
 */
export function fresh(notices: INotice[], shown: ReadonlySet<string>, openKernels: ReadonlySet<string>): INotice[] {
  return notices.filter(
    notice =>
      notice.level !== 'error' &&
      !notice.seen &&
      !shown.has(keyOf(notice)) &&
      !(notice.kernel && openKernels.has(notice.kernel))
  );
}

/** The newest reason why a kernel was stopped that this page has not shown yet. */
export function reasonFor(
  notices: INotice[],
  kernel: string,
  shown: ReadonlySet<string>
): INotice | undefined {
  return notices.filter(notice => notice.kernel === kernel && !shown.has(keyOf(notice))).pop();
}

/** Split a text into paragraphs, and lines that begin with a dash into lists. */
export function blocks(text: string): (string | string[])[] {
  const found: (string | string[])[] = [];
  for (const line of text.split('\n').map(one => one.trim())) {
    const last = found.at(-1);
    if (!line.startsWith('- ')) {
      found.push(line);
    } else if (Array.isArray(last)) {
      last.push(line.slice(2));
    } else {
      found.push([line.slice(2)]);
    }
  }
  return found.filter(block => block.length > 0);
}
