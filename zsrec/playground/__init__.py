"""The playground: a local page where a template is edited, checked, run, and compared with another.

Modules without web code compute what a page shows (`draft`, `preview`, `answers`, `snippets`, `state`); `page`,
`pane` and `results` show it, and `app` keeps other sites out.
"""
