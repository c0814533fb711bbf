/** Runs a command of the user's, with its output where ours goes and no input, and waits for its end. */

export interface CommandEnd {
  /** 0 for a good end, -1 where a signal ended it or it could not be run. */
  readonly code: number;
  /** Whether it was run at all. */
  readonly wasRun: boolean;
  /** What went wrong, as Go says it; empty for nothing. */
  readonly problem: string;
}

export function runCommand(
  words: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<CommandEnd> {
  const [program = '', ...args] = words;
  const { spawn } = process.getBuiltinModule('node:child_process');
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    child.once('error', (error: NodeJS.ErrnoException) => {
      resolve({ code: -1, wasRun: false, problem: notRun(program, error) });
    });
    child.once('exit', (code, signal) => {
      if (signal !== null) resolve({ code: -1, wasRun: true, problem: `signal: ${signal}` });
      else resolve({ code: code ?? 0, wasRun: true, problem: code === 0 ? '' : `exit status ${code}` });
    });
  });
}

function notRun(program: string, { code, message }: NodeJS.ErrnoException): string {
  if (program.includes('/')) {
    const reasons: Readonly<Record<string, string>> = {
      ENOENT: 'no such file or directory',
      EACCES: 'permission denied',
    };
    return `fork/exec ${program}: ${reasons[code ?? ''] ?? message}`;
  }
  return `exec: ${JSON.stringify(program)}: ${code === 'ENOENT' ? 'executable file not found in $PATH' : message}`;
}
