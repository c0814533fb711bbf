/** The printer of a format, loaded when it is needed. */
import type { OutputFormat } from '../global-flags.ts';
import type { Printer } from './printer.ts';

export async function loadPrinter(format: OutputFormat, isHex: boolean): Promise<Printer> {
  switch (format) {
    case 'simple':
      return (await import('./simple.ts')).simplePrinter(isHex);
    case 'fields':
      return (await import('./fields.ts')).fieldsPrinter(isHex);
    case 'json':
      return (await import('./json.ts')).jsonPrinter(isHex);
    case 'protobuf':
      return (await import('./protobuf.ts')).PROTOBUF_PRINTER;
    default:
      return (await import('./table.ts')).TABLE_PRINTER;
  }
}
