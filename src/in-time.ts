/** The answer; rejects when there is none after `msMax`. */
export async function inTime<Answer>(answer: Promise<Answer>, msMax: number): Promise<Answer> {
  let timer!: ReturnType<typeof setTimeout>;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${msMax} ms`)), msMax);
  });
  try {
    return await Promise.race([answer, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
