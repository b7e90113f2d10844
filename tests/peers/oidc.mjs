// A certified OAuth 2.0 server for `tests/it/peers_oauth.rs`, with the human taken out: whoever is
// hinted at signs in and consents at once. Says one JSON object per line: {"port"} when it listens,
// then one per answer of the token endpoint, with everything it issued.
// Environment: POSTROOM_NODE_MODULES, ROTATE (yes | no), TTL (seconds of an access token),
// SAID (what the answer says of it instead). POST /test/approve-device?user_code=…&account=… is the
// person with the other device; POST /test/end ends every grant, POST /test/end-access only the access
// tokens.
import { createRequire } from 'node:module';
import http from 'node:http';
import { pathToFileURL } from 'node:url';

const require = createRequire(process.env.POSTROOM_NODE_MODULES + '/here.js');
const { Provider } = await import(pathToFileURL(require.resolve('oidc-provider')).href);
const say = value => process.stdout.write(JSON.stringify(value) + '\n');

const server = http.createServer();
await new Promise(done => server.listen(0, '127.0.0.1', done));
const port = server.address().port;
const ttl = Number(process.env.TTL || 300);
const device = 'urn:ietf:params:oauth:grant-type:device_code';
const redirects = ['http://localhost/oauth2/callback', 'http://127.0.0.1/oauth2/callback'];
const person = {
  application_type: 'native',
  grant_types: ['authorization_code', 'refresh_token', device],
  redirect_uris: redirects,
};
const grants = new Set();
const access = new Set();
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    { ...person, client_id: 'desk', client_secret: 'CANARY-desk', token_endpoint_auth_method: 'client_secret_basic' },
    { ...person, client_id: 'public', token_endpoint_auth_method: 'none' },
    { client_id: 'robot', client_secret: 'CANARY-robot', grant_types: ['client_credentials'], redirect_uris: [],
      response_types: [], token_endpoint_auth_method: 'client_secret_post', scope: 'mail' },
    { client_id: 'dovecot', client_secret: 'dovecot', grant_types: [], redirect_uris: [], response_types: [] },
  ],
  scopes: ['openid', 'offline_access', 'mail', 'shared'],
  claims: { openid: ['sub'] },
  features: {
    devInteractions: { enabled: false }, clientCredentials: { enabled: true }, deviceFlow: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
  },
  pkce: { required: () => true },
  rotateRefreshToken: process.env.ROTATE !== 'no',
  issueRefreshToken: async (ctx, client) => client.grantTypeAllowed('refresh_token'),
  // Dovecot compares this with the name that logs in. Whoever has the scope `shared` opens that mailbox.
  extraTokenClaims: async (ctx, token) => ({
    username: token.scope?.split(' ').includes('shared') ? 'shared@mail.test' : token.accountId ?? 'support@mail.test',
  }),
  ttl: { AccessToken: ttl, ClientCredentials: ttl, RefreshToken: 86400, AuthorizationCode: 60, DeviceCode: 300,
    Interaction: 300, Session: 3600, Grant: 86400, IdToken: 300 },
  findAccount: async (ctx, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  cookies: { keys: ['peer'] },
});

async function grantTo(accountId, clientId, scope) {
  const grant = new provider.Grant({ accountId, clientId });
  grant.addOIDCScope(scope);
  const id = await grant.save();
  grants.add(id);
  return id;
}

provider.use(async (ctx, next) => {
  if (ctx.path === '/test/approve-device') {
    const typed = ctx.query.user_code.replace(/[^a-zA-Z0-9]/g, '').toUpperCase();
    const code = await provider.DeviceCode.findByUserCode(typed);
    const scope = code.params.scope;
    const grantId = await grantTo(ctx.query.account, code.clientId, scope);
    const authTime = Math.floor(Date.now() / 1000);
    Object.assign(code, { accountId: ctx.query.account, grantId, scope, claims: {}, authTime });
    await code.save();
    ctx.body = 'approved';
    return;
  }
  if (ctx.path === '/test/end') {
    for (const id of grants) await (await provider.Grant.find(id))?.destroy();
    ctx.body = 'ended';
    return;
  }
  if (ctx.path === '/test/end-access') {
    for (const token of access) await (await provider.AccessToken.find(token))?.destroy();
    ctx.body = 'ended';
    return;
  }
  if (ctx.path.startsWith('/interaction/')) {
    const { params, prompt, session } = await provider.interactionDetails(ctx.req, ctx.res);
    const result = prompt.name === 'login'
      ? { login: { accountId: params.login_hint } }
      : { consent: { grantId: await grantTo(session.accountId, params.client_id, params.scope) } };
    ctx.respond = false;
    await provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: true });
    return;
  }
  await next();
  if (ctx.path === '/token') {
    const { params } = ctx.oidc ?? {};
    if (ctx.body?.access_token) access.add(ctx.body.access_token);
    if (process.env.SAID && ctx.body?.expires_in) ctx.body.expires_in = Number(process.env.SAID);
    say({ grant: params?.grant_type, status: ctx.status, error: ctx.body?.error,
      secrets: [ctx.body?.access_token, ctx.body?.refresh_token, ctx.body?.id_token, params?.code].filter(Boolean) });
  }
});
server.on('request', provider.callback());
say({ port });
process.stdin.on('end', () => process.exit(0)).resume();
