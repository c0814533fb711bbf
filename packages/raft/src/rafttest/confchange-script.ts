/**
 * Scripts about changes of the configuration: `simple`, `enter-joint autoleave=true` and `leave-joint`, with the changes
 * (`v1 l2 r3 u4`) as input. Each shows the configuration and the progress of its members, or why it is refused.
 */
import {
  ConfChangeError,
  type ConfChangeResult,
  changeSimple,
  enterJoint,
  leaveJoint,
} from '../confchange/changer.ts';
import { parseChanges } from '../confchange/conf-change.ts';
import { type Config, describeConfig } from '../tracker/config.ts';
import { ProgressTracker } from '../tracker/progress-tracker.ts';
import { type Command, ScriptCommandError } from './interaction-env.ts';

export class ConfChangeScript {
  readonly #tracker = new ProgressTracker(10, 0);
  /** Stands for the end of the log, which each command moves on. */
  #lastIndex = 0;

  handle(command: Command): string {
    try {
      const { config, added } = change(this.#tracker.config, command);
      this.#tracker.switchConfig(config, added, this.#lastIndex);
      const members = this.#tracker.all.map((progress) => `${progress.id}: ${progress}\n`);
      return `${describeConfig(config)}\n${members.join('')}`;
    } catch (error) {
      if (!(error instanceof ConfChangeError)) throw error;
      return `${error.message}\n`;
    } finally {
      this.#lastIndex++;
    }
  }
}

function change(config: Config, command: Command): ConfChangeResult {
  const changes = parseChanges(command.input);
  switch (command.command) {
    case 'simple':
      return changeSimple(config, changes);
    case 'enter-joint': {
      const autoLeave = command.args.find(({ key }) => key === 'autoleave')?.values[0] === 'true';
      return enterJoint(config, autoLeave, changes);
    }
    case 'leave-joint':
      return leaveJoint(config);
    default:
      throw new ScriptCommandError(`unknown command ${command.command}`);
  }
}
