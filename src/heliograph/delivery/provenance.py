"""What a delivered file says about where it comes from: an XMP packet that calls it machine-made.

`DigitalSourceType` is the IPTC's property for it, with the term for pictures made by a trained model from text alone
(cv.iptc.org/newscodes/digitalsourcetype). The packet holds nothing of the prompt or the user.
"""

from heliograph import __version__

SOFTWARE = f"heliograph {__version__}"
DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"

XMP_PACKET = f"""\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    Iptc4xmpExt:DigitalSourceType="{DIGITAL_SOURCE_TYPE}"
    xmp:CreatorTool="{SOFTWARE}"/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""
