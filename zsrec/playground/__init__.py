"""The playground: a local web page on which a template is edited, checked, run, and compared with another.

What a page shows is worked out by small modules without any web code (`drafts`, `people`, `preview`, `answers`,
`snippets`, `asking`); `page`, `panes` and `results` only put it on the screen, and `guard` keeps other sites out.
"""
