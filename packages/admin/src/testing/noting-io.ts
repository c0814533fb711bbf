/** For tests of commands: what they print is kept. */
import { Io } from '@etcd/host/cli';

export class NotingIo extends Io {
  text = '';
  errors = '';

  override out(data: string | Uint8Array): void {
    this.text += Buffer.from(data).toString();
  }

  override line(text: string): void {
    this.text += `${text}\n`;
  }

  override error(text: string): void {
    this.errors += `${text}\n`;
  }

  override errorText(text: string): void {
    this.errors += text;
  }
}
