/** Two small things that a server wants of its process before it does anything else. */
import fs from 'node:fs';

/** The name under which `ps`, `pgrep` and `top` list the process, instead of that of its interpreter. */
export function setProcessName(name: string): void {
  try {
    fs.writeFileSync('/proc/self/comm', name);
  } catch {
    // Cosmetic, and only Linux has it.
  }
}

/**
 * Files are created with the modes that they need, so the mask is left to whoever starts the process; but one that takes
 * our own access to our own files away would make every file useless. Returns the mask that was wrong, or null.
 */
export function repairUmask(): number | null {
  const mask = process.umask();
  if ((mask & OWNER_BITS) === 0) return null;
  process.umask(mask & ~OWNER_BITS);
  return mask;
}

const OWNER_BITS = 0o700;
