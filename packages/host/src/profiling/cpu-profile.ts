/** Where the processor's time goes, as V8 samples it. */
import { type Profiler, Session } from 'node:inspector/promises';

let isRecording = false;

/** Samples for so long. Rejects while another recording goes on: V8 has one profiler. */
export async function recordCpuProfile(durationMs: number): Promise<Profiler.Profile> {
  if (isRecording) throw new Error('cpu profiling already in use');
  isRecording = true;
  const session = new Session();
  session.connect();
  try {
    await session.post('Profiler.enable');
    await session.post('Profiler.start');
    await new Promise((resolve) => setTimeout(resolve, durationMs));
    const { profile } = await session.post('Profiler.stop');
    return profile;
  } finally {
    session.disconnect();
    isRecording = false;
  }
}
