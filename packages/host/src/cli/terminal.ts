/**
 * What people see and programs do not: colour and alignment, where a stream is a terminal. `NO_COLOR` (https://no-color.org) takes the
 * colour away.
 */
export type Style = 'red' | 'green' | 'bold' | 'dim';

/** How a stream is written to; none of it where nobody looks. */
export interface Terminal {
  readonly isTerminal: boolean;
  /** The text, in that style where the terminal has colours and its user wants them. */
  paint(style: Style, text: string): string;
}

const CODES: Readonly<Record<Style, readonly [on: number, off: number]>> = {
  red: [31, 39],
  green: [32, 39],
  bold: [1, 22],
  dim: [2, 22],
};

export const NO_TERMINAL: Terminal = { isTerminal: false, paint: (_style, text) => text };

export function terminalOf(descriptor: number, env: NodeJS.ProcessEnv): Terminal {
  if (!process.getBuiltinModule('node:tty').isatty(descriptor)) return NO_TERMINAL;
  const isPlain = (env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb';
  return { isTerminal: true, paint: isPlain ? NO_TERMINAL.paint : inColour };
}

function inColour(style: Style, text: string): string {
  const [on, off] = CODES[style];
  return `\x1b[${on}m${text}\x1b[${off}m`;
}
