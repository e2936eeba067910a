/**
 * Generates the vector files, byte by byte the same every time: `npx tsx test/vectors/generate.ts`. A difference in its
 * output is a change of the format, and vaults of older versions must still open.
 */
import fs from 'node:fs';
import { pathToFileURL } from 'node:url';
import { makeAuditVectors } from './audit_vectors.ts';
import { makeKeyVectors } from './key_vectors.ts';
import { makeRecordVectors } from './record_vectors.ts';
import { makeSealedVectors } from './sealed_vectors.ts';
import { type VectorFiles, vectorPath } from './vector_files.ts';

export async function makeVectors(): Promise<VectorFiles> {
  return {
    'record-v1.json': await makeRecordVectors(),
    'audit-v1.json': await makeAuditVectors(),
    'keys-v1.json': await makeKeyVectors(),
    'sealed-v2.json': await makeSealedVectors(),
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const [name, vectors] of Object.entries(await makeVectors())) {
    fs.writeFileSync(vectorPath(name as keyof VectorFiles), `${JSON.stringify(vectors, null, 1)}\n`);
  }
}
