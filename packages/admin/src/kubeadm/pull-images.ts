/** Brings images onto this host by way of `crictl`, which speaks with any container runtime. */
import { runCommand } from '../cluster/service.ts';
import { ConfigError } from './config-error.ts';

export const DEFAULT_CRI_SOCKET = 'unix:///var/run/containerd/containerd.sock';

/** One after the other; `line` hears of each. Throws {@link ConfigError} at the first that can't be had. */
export async function pullImages(
  images: readonly string[],
  socket: string,
  line: (text: string) => void,
  program = 'crictl',
): Promise<void> {
  for (const image of images) {
    const failed = (reason: string): ConfigError =>
      new ConfigError(`failed to pull image ${JSON.stringify(image)}: ${reason}`);
    const { code, output } = await runCommand(program, ['--runtime-endpoint', socket, 'pull', image]).catch(
      (error: Error) => {
        throw failed(error.message.replace('[service] ', ''));
      },
    );
    if (code !== 0) throw failed(output.trim());
    line(`[config/images] Pulled ${image}`);
  }
}
