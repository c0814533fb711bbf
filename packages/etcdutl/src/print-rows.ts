/** Results in the format that `--write-out` asks for. */
import { drawTable, ExitError, type Invocation } from '@etcd/host/cli';
import { EXIT } from './exit-codes.ts';
import { OUTPUT_FORMATS } from './global-flags.ts';

/** One figure of a result, as each format has it. */
export interface Column {
  /** Head of the table. */
  readonly head: string;
  /** For the format `fields`. */
  readonly field: string;
  /** For the format `json`. */
  readonly key: string;
  readonly value: number | string;
  /** For `simple` and `table`; the value unless told. */
  readonly text?: string | undefined;
}

/** Ends the program for a format that does not exist: before any work is done. */
export function checkFormat({ flags }: Invocation): void {
  const format = flags.text('write-out');
  if (!OUTPUT_FORMATS.some((known) => known === format)) {
    throw new ExitError(EXIT.BAD_FEATURE, 'unsupported output format');
  }
}

export function printColumns({ flags, io }: Invocation, columns: readonly Column[]): void {
  const texts = columns.map(({ value, text }) => text ?? String(value));
  switch (flags.text('write-out')) {
    case 'simple':
      return io.line(texts.join(', '));
    case 'fields':
      return io.out(columns.map(({ field, value }) => `"${field}" : ${value}\n`).join(''));
    case 'json':
      return io.line(JSON.stringify(Object.fromEntries(columns.map(({ key, value }) => [key, value]))));
    case 'table':
      return io.out(drawTable({ head: columns.map(({ head }) => head), rows: [texts] }, io.outTerminal));
    default:
      throw new ExitError(EXIT.BAD_FEATURE, 'protobuf not supported as output format');
  }
}
