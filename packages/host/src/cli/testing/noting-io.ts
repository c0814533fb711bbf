/** Standard streams for tests of programs: what is written is kept instead. */
import { Io } from '../io.ts';

export class NotingIo extends Io {
  stdout = '';
  stderr = '';

  override out(data: string | Uint8Array): void {
    this.stdout += Buffer.from(data).toString();
  }

  override line(text: string): void {
    this.stdout += `${text}\n`;
  }

  override error(text: string): void {
    this.stderr += `${text}\n`;
  }

  override errorText(text: string): void {
    this.stderr += text;
  }
}
