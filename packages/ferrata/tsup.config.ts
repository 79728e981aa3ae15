import recipe from '@ferrata/tools/tsup';

export default { ...recipe, entry: ['src/index.ts', 'src/main.ts', 'src/reverse-server.ts'] };
