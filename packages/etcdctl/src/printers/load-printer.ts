/** The printer of a format, loaded when it is needed. */
import type { Terminal } from '@etcd/host/cli';
import type { OutputFormat } from '../global-flags.ts';
import type { Printer } from './printer.ts';

export async function loadPrinter(
  format: OutputFormat,
  isHex: boolean,
  terminal: Terminal,
): Promise<Printer> {
  switch (format) {
    case 'simple':
      return (await import('./simple.ts')).simplePrinter(isHex, terminal);
    case 'fields':
      return (await import('./fields.ts')).fieldsPrinter(isHex);
    case 'json':
      return (await import('./json.ts')).jsonPrinter(isHex);
    case 'protobuf':
      return (await import('./protobuf.ts')).PROTOBUF_PRINTER;
    default:
      return (await import('./table.ts')).tablePrinter(terminal);
  }
}
