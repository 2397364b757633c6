"""The server: webhooks, media sockets, health. It lets calls in and hands them to the switchboard.

Everything that comes from outside is checked here, before anything else sees it: who signed it,
how often it comes, how large it is, and whether its token is good. One public port serves the
webhooks (FastAPI on uvicorn) and the media sockets (picows).
"""
